"use strict";
// Before textual.js measures the cells of its terminal (in onload), the font must be there; and keys should go into the
// terminal without a click.
const begin = window.onload;
window.onload = async (event) => {
  await Promise.all(["", "bold "].map((weight) => document.fonts.load(`${weight}14px "Roboto Mono"`, "M█")));
  const terminal = document.querySelector("#terminal");
  terminal.dataset.sessionWebsocketUrl = new URL("ws", window.location.href).href.replace(/^http/, "ws");
  document.querySelector("#again").addEventListener("click", () => window.location.reload());
  const focus = () => terminal.querySelector(".xterm-helper-textarea")?.focus();
  new MutationObserver(focus).observe(terminal, { attributeFilter: ["class"] }); // once it is connected
  window.addEventListener("focus", focus);
  begin(event);
};
