// The page: brings the connection, the pictures and the words together.

import { Connection } from "./connection.js";
import { showClasses, showHealth, showSources, showState } from "./health.js";
import { Pictures, recall, remember } from "./pictures.js";

let version = "", refused = "";

const connection = new Connection({
  hello(message) {
    // The viewer has been updated while this page was open.
    if (version && version !== message.version) location.reload();
    version = message.version;
    refused = "";
    document.getElementById("node").textContent = message.fusion_node;
    document.title = `UAAFusion ${message.fusion_node}`;
    showSources(message.attribution_colours);
  },
  classes: showClasses,
  status(message) {
    showHealth(message);
    pictures.tell(message.pictures);
  },
  error(message) {
    refused = message.message;
  },
  async frame(frame) {
    await pictures.draw(frame);
    connection.seen(frame.picture);
  },
  lost() {
    const words = refused
      ? `The viewer has refused this page: ${refused}. It is asked again and again.`
      : "The connection to the viewer is lost. What stands below is old; the page calls again until the viewer answers.";
    showState(2, "Not connected", words);
    for (const stage of document.querySelectorAll(".stage")) stage.classList.add("old");
  },
});
const pictures = new Pictures((names) => connection.look(names));
connection.open();

const wipe = document.getElementById("wipe");
const setWipe = () => {
  wipe.parentElement.style.setProperty("--wipe", `${wipe.value}%`);
  wipe.setAttribute("aria-valuetext", `${wipe.value} % infrared, ${100 - wipe.value} % fused`);
};
wipe.addEventListener("input", setWipe);
setWipe();

const THEMES = ["", "dark", "light"]; // the system's first
const theme = document.getElementById("theme");
const setTheme = (name) => {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  theme.textContent = { "": "Auto", dark: "Dark", light: "Light" }[name];
  theme.setAttribute("aria-label", `Theme: ${theme.textContent}; change it`);
  remember("theme", name);
};
setTheme(THEMES.includes(recall("theme")) ? recall("theme") : "");
theme.addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length]);
});
