// Draws frames, and finds out which pictures are to be seen.

const KEPT = 100; // infrared frames: ten seconds at ten images a second
const FAR = 1; // seconds

const stages = [...document.querySelectorAll(".stage")];
const canvases = grouped(document.querySelectorAll("canvas:not(.over)"));
const beside = document.querySelectorAll("canvas.over");

function grouped(all) {
  const groups = new Map();
  for (const canvas of all) {
    const name = canvas.dataset.picture;
    groups.set(name, [...(groups.get(name) ?? []), canvas]);
  }
  return groups;
}

async function drawOn(targets, frame) {
  if (!targets || !frame) return;
  let bitmap;
  try {
    bitmap = await createImageBitmap(frame.jpeg);
  } catch {
    return; // a damaged frame: the next will do
  }
  for (const canvas of targets) {
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.dataset.number = frame.number;
    if (!canvas.classList.contains("over")) canvas.parentElement.classList.add("filled");
  }
  bitmap.close();
}

// The last infrared frames, to find the one of a fused frame's moment among them.
class Partners {
  constructor() {
    this.frames = [];
    this.asked = false; // whether there was a fused frame
  }

  get last() {
    return this.frames.at(-1);
  }

  keep(frame) {
    this.frames.push(frame);
    if (this.frames.length > KEPT) this.frames.shift();
  }

  // The nearest by stamp; the last where the cameras' clocks have nothing in common.
  of({ stamp }) {
    this.asked = true;
    let nearest = this.last;
    for (const frame of this.frames) {
      if (Math.abs(frame.stamp - stamp) < Math.abs(nearest.stamp - stamp)) nearest = frame;
    }
    return nearest && Math.abs(nearest.stamp - stamp) < FAR ? nearest : this.last;
  }
}

export class Pictures {
  // onLook: called with the names of the pictures that are to be seen, whenever they change.
  constructor(onLook) {
    this.onLook = onLook;
    this.onScreen = new Set();
    this.looks = "";
    this.partners = new Partners();
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.onScreen.add(entry.target);
        else this.onScreen.delete(entry.target);
      }
      this.#look();
    }, { rootMargin: "120px" });
    for (const stage of stages) this.observer.observe(stage);
    document.addEventListener("visibilitychange", () => this.#look());
    for (const tile of document.querySelectorAll(".tile")) this.#restore(tile);
  }

  async draw(frame) {
    await drawOn(canvases.get(frame.picture), frame);
    if (frame.picture === "infrared") this.partners.keep(frame);
    // The fusion takes its time: beside it belongs the infrared image of its moment, not of now.
    if (frame.picture === "fused") await drawOn(beside, this.partners.of(frame));
    else if (!this.partners.asked) await drawOn(beside, this.partners.last);
  }

  // What keeps pictures from being shown, and how they come.
  tell(pictures) {
    for (const [name, told] of Object.entries(pictures)) {
      for (const words of document.querySelectorAll(`[data-words="${name}"]`)) {
        words.textContent = this.#paused(words) ? "Not live: nothing of it is computed or sent" : told.words;
        words.parentElement.classList.toggle("old", words.textContent !== "");
      }
      const parts = told.description ? [told.description, `${told.rate.toFixed(1)} Hz`] : [];
      if (told.left_out) parts.push(`${told.left_out} skipped`);
      for (const caption of document.querySelectorAll(`[data-caption="${name}"]`)) {
        caption.textContent = parts.join(" · ");
      }
    }
  }

  #paused(words) {
    return words.closest(".tile")?.querySelector(".switch input").checked === false;
  }

  #look() {
    const names = new Set();
    if (document.visibilityState === "visible") {
      for (const stage of this.onScreen) {
        const live = stage.closest(".tile")?.querySelector(".switch input").checked ?? true;
        if (live) stage.dataset.shows.split(" ").forEach((name) => names.add(name));
      }
    }
    const looks = [...names].sort();
    if (looks.join() !== this.looks) {
      this.looks = looks.join();
      this.onLook(looks);
    }
  }

  #restore(tile) {
    const box = tile.querySelector(".switch input"), name = tile.dataset.tile;
    box.setAttribute("aria-label", `${name} live`);
    box.checked = recall(`live-${name}`) !== "no";
    box.addEventListener("change", () => {
      remember(`live-${name}`, box.checked ? "yes" : "no");
      this.#look();
    });
  }
}

// A browser may forbid both; the page then forgets.
export function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
export function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* forgotten */ }
}
