// Who is on the phone: the list of people and groups, shown beside the phone and in a sheet.

import { element } from "/page/render.js";

const HUES = 6;

export function hueOf(id) {
  return `hue-${Math.abs(id) % HUES}`;
}

export function initialOf(name) {
  return ([...name.trim()][0] ?? "?").toUpperCase();
}

export class People {
  constructor({ choose, add, notifications }) {
    this.choose = choose;
    this.add = add;
    this.notifications = notifications;
    this.panels = [...document.querySelectorAll("[data-people]")];
    // Only the rows are drawn again: a form in use is not pulled from under the fingers.
    for (const panel of this.panels) {
      const title = element("h3", "", "Who is on the phone");
      panel.append(title, element("div", "rows"), this.#form(), this.#switch());
    }
  }

  draw({ people, groups, current, unread }) {
    for (const panel of this.panels) {
      const rows = panel.querySelector(".rows");
      rows.replaceChildren();
      for (const person of people) {
        const note = `id ${person.user_id}`;
        rows.append(this.#row(person.user_id, person.name, note, current, unread));
      }
      for (const group of groups) {
        rows.append(this.#row(group.chat_id, group.title, "group", current, unread));
      }
    }
  }

  #row(id, name, note, current, unread) {
    const row = element("button", "person");
    row.type = "button";
    const face = element("span", `face ${hueOf(id)}`, initialOf(name));
    face.setAttribute("aria-hidden", "true");
    row.append(face, element("span", "", element("b", "", name), element("small", "", note)));
    if (id === current) row.setAttribute("aria-current", "true");
    const count = unread.get(id) ?? 0;
    if (count) row.append(element("span", "badge", String(count)));
    row.addEventListener("click", () => this.choose(id));
    return row;
  }

  #form() {
    const form = element("form", "add");
    const id = element("input");
    Object.assign(id, { name: "user_id", placeholder: "id", inputMode: "numeric", required: true });
    id.pattern = "[1-9][0-9]{0,14}";
    id.title = "a number, such as 2";
    id.setAttribute("aria-label", "Number of the new person");
    const name = element("input");
    Object.assign(name, { name: "name", placeholder: "name", maxLength: 64 });
    name.setAttribute("aria-label", "Name of the new person");
    const submit = element("button", "", "+");
    submit.setAttribute("aria-label", "Add this person");
    form.append(id, name, submit);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(Number(id.value), name.value.trim());
      form.reset();
    });
    return form;
  }

  #switch() {
    const row = element("button", "notify", "Notifications", element("span", "switch"));
    row.type = "button";
    row.setAttribute("role", "switch");
    row.setAttribute("aria-checked", String(this.notifications.isOn()));
    row.addEventListener("click", async () => {
      await this.notifications.toggle();
      for (const each of document.querySelectorAll(".notify")) {
        each.setAttribute("aria-checked", String(this.notifications.isOn()));
      }
    });
    return row;
  }
}
