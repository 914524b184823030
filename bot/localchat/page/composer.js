// Writing: the input field, the command menu, replies and edits, keyboards under the field.

import { element } from "/page/render.js";

const byId = (id) => document.getElementById(id);
const FIELD_PX_MAX = 132;

export class Composer {
  constructor({ send, attach, lastOwn }) {
    this.send = send;
    this.lastOwn = lastOwn;
    this.text = byId("text");
    this.form = byId("composer");
    this.menu = byId("menu");
    this.list = byId("commands");
    this.commands = [];
    this.context = null;
    this.selected = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.text.addEventListener("input", () => this.#changed());
    this.text.addEventListener("keydown", (event) => this.#key(event));
    this.menu.addEventListener("click", () => this.#toggleMenu());
    byId("context-close").addEventListener("click", () => this.setContext(null));
    byId("file").addEventListener("change", (event) => {
      const [file] = event.target.files;
      if (file) attach(file, this.text.value.trim());
      this.clear();
      event.target.value = "";
    });
    addEventListener("paste", (event) => {
      const [file] = event.clipboardData?.files ?? [];
      if (file) attach(file, "");
    });
  }

  clear() {
    this.text.value = "";
    this.setContext(null);
    this.#changed();
  }

  setCommands(commands) {
    this.commands = commands;
    this.menu.hidden = commands.length === 0;
    if (!this.list.hidden) this.#showCommands(this.#wanted() ?? "");
  }

  // { kind: "reply" | "edit", message, title, text } or null
  setContext(context) {
    this.context = context;
    byId("context").hidden = context === null;
    if (context === null) return;
    byId("context-title").textContent = context.title;
    byId("context-text").textContent = context.text;
    if (context.kind === "edit") this.text.value = context.message.text;
    this.#changed();
    this.text.focus();
  }

  setKeys(markup) {
    const keys = byId("keys");
    keys.replaceChildren();
    keys.hidden = !markup?.keyboard;
    for (const row of markup?.keyboard ?? []) {
      const line = element("div");
      for (const label of row) {
        const key = element("button", "", label);
        key.type = "button";
        key.addEventListener("click", () => this.send(label, null));
        line.append(key);
      }
      keys.append(line);
    }
  }

  #submit() {
    const text = this.text.value.trim();
    if (!text) return;
    const { context } = this;
    this.clear();
    this.send(text, context);
  }

  #changed() {
    const { text } = this;
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, FIELD_PX_MAX)}px`;
    const hasText = text.value.trim() !== "";
    byId("send").disabled = !hasText;
    this.form.classList.toggle("has-text", hasText);
    const wanted = this.#wanted();
    if (wanted === null) this.closeMenu();
    else this.#showCommands(wanted);
  }

  // What stands behind a slash that begins the text, null without one.
  #wanted() {
    const match = /^\/(\w*)$/.exec(this.text.value);
    return match ? match[1].toLowerCase() : null;
  }

  #toggleMenu() {
    if (!this.list.hidden) this.closeMenu();
    else this.#showCommands("");
    this.text.focus();
  }

  closeMenu() {
    this.list.hidden = true;
    this.menu.setAttribute("aria-expanded", "false");
  }

  #showCommands(wanted) {
    const found = this.commands.filter((each) => each.command.startsWith(wanted));
    this.list.replaceChildren();
    for (const each of found) {
      const row = element("li", "", element("b", "", `/${each.command}`));
      row.append(element("span", "", each.description));
      row.setAttribute("role", "option");
      row.addEventListener("click", () => this.#choose(each.command));
      this.list.append(row);
    }
    this.list.hidden = found.length === 0;
    this.menu.setAttribute("aria-expanded", String(found.length > 0));
    // A command written out in full is meant, whatever else begins like it.
    this.#select(Math.max(0, found.findIndex((each) => each.command === wanted)));
  }

  #select(index) {
    this.selected = index;
    [...this.list.children].forEach((row, position) => {
      row.setAttribute("aria-selected", String(position === index));
      if (position === index) row.scrollIntoView({ block: "nearest" });
    });
  }

  #choose(command) {
    this.closeMenu();
    this.clear();
    this.send(`/${command}`, null);
    this.text.focus();
  }

  #key(event) {
    if (event.isComposing) return;
    const count = this.list.hidden ? 0 : this.list.children.length;
    if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#select((this.selected + step + count) % count);
    } else if (event.key === "Tab" && count && !event.shiftKey) {
      event.preventDefault();
      const name = this.list.children[this.selected].querySelector("b").textContent;
      this.text.value = `${name} `;
      this.#changed();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (count) this.list.children[this.selected].click();
      else this.#submit();
    } else if (event.key === "ArrowUp" && this.text.value === "") {
      event.preventDefault();
      this.#editLast();
    } else if (event.key === "Escape") {
      if (count) this.closeMenu();
      else this.setContext(null);
    }
  }

  #editLast() {
    const message = this.lastOwn();
    if (message) this.setContext({ kind: "edit", message, title: "Edit message", text: message.text });
  }
}
