// How the fusion is: figures, words, and what was left out. Text only, never markup.

const STATES = ["Live", "Warning", "Error"];

const REMEMBERED = 120; // values of a figure's line
const SVG = "http://www.w3.org/2000/svg";
const lines = new Map();

const byId = (id) => document.getElementById(id);

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function showState(level, word, banner = "") {
  byId("state").dataset.level = level;
  if (byId("state").textContent !== word) byId("state").textContent = word;
  if (byId("banner").textContent !== banner) byId("banner").textContent = banner;
  byId("banner").hidden = !banner;
}

export function showHealth({ fusion, viewers, delay }) {
  showState(
    fusion.level, fusion.alive ? STATES[fusion.level] : "No fusion node",
    fusion.level > 1 ? fusion.words : "",
  );
  document.body.classList.toggle("gone", !fusion.alive);
  const { model, device, mode } = fusion.about;
  if (model) byId("about").textContent = [model, device && `on ${device}`, mode].filter(Boolean).join(" · ");
  byId("figures").replaceChildren(...fusion.figures.map(figure));
  byId("statuses").replaceChildren(...fusion.statuses.sort((a, b) => b.level - a.level).map(status));
  byId("drops").replaceChildren(...fusion.drops.map(drop));
  const sum = fusion.drops.reduce((all, one) => all + Number(one.visible) + Number(one.infrared), 0);
  byId("dropped-sum").textContent = fusion.statuses.length ? sum : "";
  byId("dropped").hidden = !fusion.statuses.length;
  const link = [`watched by ${viewers} ${viewers === 1 ? "browser" : "browsers"}`];
  if (delay !== null) link.push(`${delay} ms from the viewer to this screen`);
  byId("link").textContent = link.join(" · ");
}

export function showClasses({ classes, error }) {
  const entries = classes.map(({ name, rgb }) => swatch(name, rgb));
  byId("classes").replaceChildren(...(error ? [element("li", error)] : entries));
}

export function showSources(colours) {
  byId("sources").replaceChildren(
    swatch("from infrared", colours.infrared), swatch("from visible", colours.visible),
    element("li", "brighter: more attention"),
  );
}

function swatch(name, rgb) {
  const made = element("li", "");
  const colour = element("i", "", { "aria-hidden": "true" });
  colour.style.backgroundColor = `rgb(${rgb.join(" ")})`;
  made.append(colour, name);
  return made;
}

function figure({ label, unit, value, worst }) {
  const made = element("div", "");
  const number = element("dd", rounded(value) || "–", { "data-figure": label });
  if (value) number.append(" ", element("small", unit));
  number.append(element("small", worst && `worst ${rounded(worst)}`, { class: "worst" }));
  made.append(element("dt", label), number, line(label, value));
  return made;
}

// The last minutes of a figure, from zero to its largest value; the numbers tell the same.
function line(label, value) {
  const values = lines.get(label) ?? [];
  lines.set(label, values);
  values.push(value === "" ? null : Number(value));
  if (values.length > REMEMBERED) values.shift();
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${REMEMBERED - 1} 30`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  const largest = Math.max(...values, 1e-9);
  let steps = "", pen = "M";
  values.forEach((one, index) => {
    const x = REMEMBERED - values.length + index;
    if (one !== null) steps += `${pen}${x} ${(28 - 26 * one / largest).toFixed(1)}`;
    pen = one === null ? "M" : "L";
  });
  path.setAttribute("d", steps);
  picture.append(path);
  return picture;
}

function rounded(text) {
  return text && Number(text) >= 100 ? Math.round(Number(text)).toString() : text;
}

function status({ name, level, words }) {
  const made = element("li", "", { "data-level": level });
  const word = level ? `${name} · ${STATES[level].toLowerCase()}` : name;
  made.append(element("b", word[0].toUpperCase() + word.slice(1)), words);
  return made;
}

function drop({ words, infrared, visible }) {
  const made = element("tr", "");
  made.append(element("td", words), element("td", infrared), element("td", visible));
  return made;
}
