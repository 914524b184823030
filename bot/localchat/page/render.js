// Messages into elements. Everything from outside becomes text nodes, never markup.

const SAFE_LINK = /^(https?:|tg:|mailto:)/i;
const BLOCKS = new Set(["pre", "blockquote", "expandable_blockquote"]);
const SIMPLE = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  blockquote: "blockquote",
};
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function icon(...paths) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const [d, className] of paths) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    if (className) path.setAttribute("class", className);
    svg.append(path);
  }
  return svg;
}

// Offsets count UTF-16 units, which is how JavaScript counts too.
export function formatted(text, entities, onCommand) {
  const ordered = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  const fragment = document.createDocumentFragment();
  fill(fragment, text, 0, text.length, ordered, onCommand);
  return fragment;
}

function fill(parent, text, begin, end, entities, onCommand) {
  let position = begin;
  for (let index = 0; index < entities.length; index += 1) {
    const entity = entities[index];
    if (entity.offset < position || entity.offset >= end) continue;
    const stop = Math.min(entity.offset + entity.length, end);
    parent.append(text.slice(position, entity.offset));
    const inner = entities
      .slice(index + 1)
      .filter((each) => each.offset < stop && each.offset + each.length <= stop);
    const piece = wrapping(entity, text.slice(entity.offset, stop), onCommand);
    fill(piece, text, entity.offset, stop, inner, onCommand);
    parent.append(piece);
    position = stop;
    // A block brings its own line break.
    if (BLOCKS.has(entity.type) && text[position] === "\n") position += 1;
  }
  if (position < end) parent.append(text.slice(position, end));
}

function wrapping(entity, text, onCommand) {
  const { type } = entity;
  if (type === "pre") {
    const block = element("pre");
    if (entity.language) block.dataset.language = entity.language;
    block.tabIndex = 0;
    return block;
  }
  if (type === "text_link" || type === "url") return link(entity.url ?? text);
  if (type === "bot_command") {
    const command = element("button", "command");
    command.type = "button";
    command.addEventListener("click", () => onCommand(text));
    return command;
  }
  if (type === "spoiler") return openable(element("span", "spoiler"), "Hidden text, press to show");
  if (type === "expandable_blockquote") {
    return openable(element("blockquote", "expandable"), "Quote, press to open");
  }
  return element(SIMPLE[type] ?? "span");
}

function link(address) {
  const anchor = element("a");
  if (SAFE_LINK.test(address)) {
    anchor.href = address;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer nofollow";
  }
  return anchor;
}

function openable(piece, label) {
  piece.tabIndex = 0;
  piece.setAttribute("role", "button");
  piece.setAttribute("aria-label", label);
  const open = () => {
    piece.classList.add("open");
    piece.removeAttribute("role");
    piece.removeAttribute("aria-label");
  };
  piece.addEventListener("click", open);
  piece.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") open();
  });
  return piece;
}

// The element of one message; `act` holds what can be done with it.
export function messageElement(message, act) {
  const mine = message.from === "user" && message.user_id === act.userId;
  const item = element("li", mine ? "message mine" : "message");
  item.dataset.id = message.message_id;
  const bubble = element("div", "bubble");
  item.append(bubble);
  if (!mine && message.chat_id < 0) bubble.append(element("div", "who", act.nameOf(message)));
  if (message.forward_origin) bubble.append(forwardLine(message.forward_origin));
  const replied = message.reply_to && act.find(message.reply_to);
  if (replied) bubble.append(quote(replied, act));
  if (message.media) bubble.append(mediaElement(message, act));
  if (message.text) bubble.append(textElement(message, act));
  bubble.classList.toggle("picture", Boolean(message.media && message.file.width));
  bubble.classList.toggle("bare", !message.text);
  bubble.append(stamp(message, mine));
  if (message.reaction) bubble.append(element("div", "reaction", message.reaction));
  if (message.keyboard.length) {
    item.classList.add("with-buttons");
    item.append(keyboard(message, act));
  }
  bubble.addEventListener("dblclick", () => act.reply(message));
  return item;
}

function textElement(message, act) {
  const text = element("div", "text", formatted(message.text, message.entities, act.command));
  const ends = message.entities.some(
    (each) => BLOCKS.has(each.type) && each.offset + each.length >= message.text.length,
  );
  text.classList.toggle("ends-in-block", ends);
  const width = 44 + (message.edits ? 42 : 0) + (message.from === "user" ? 21 : 0);
  text.style.setProperty("--stamp-width", `${width}px`);
  return text;
}

function stamp(message, mine) {
  const when = new Date(message.date * 1000);
  const time = element("time", "", clock.format(when));
  time.dateTime = when.toISOString();
  const line = element("span", "stamp");
  if (message.edits) line.append("edited ");
  line.append(time);
  if (mine) {
    const ticks = icon(["M1.5 12.5l5 5L16 7"], ["M11 16.5l1 1L22 7", "second"]);
    ticks.setAttribute("class", "ticks");
    line.append(ticks);
  }
  return line;
}

function forwardLine(origin) {
  const name = origin.sender_user?.first_name ?? origin.sender_user_name ?? origin.chat?.title;
  return element("div", "forward", `Forwarded from ${name ?? "a chat"}`);
}

function quote(replied, act) {
  const button = element("button", "quote");
  button.type = "button";
  button.append(element("b", "", act.nameOf(replied)), element("span", "", preview(replied)));
  button.addEventListener("click", () => act.show(replied.message_id));
  return button;
}

function mediaElement(message, act) {
  const { url, kind } = message.media;
  const { name, size, width, height, is_spoiler: isSpoiler } = message.file;
  if (!width) return fileElement(url, name, size);
  const image = element("img");
  image.src = url;
  image.width = width;
  image.height = height;
  image.alt = message.text ? message.text.split("\n")[0] : `${kind} ${name}`;
  image.addEventListener("load", act.settle, { once: true });
  const button = element("button", isSpoiler ? "image covered" : "image", image);
  button.type = "button";
  button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
  button.addEventListener("click", () => {
    if (button.classList.contains("covered")) button.classList.remove("covered");
    else act.enlarge(message);
  });
  return button;
}

function fileElement(url, name, size) {
  const anchor = element("a", "file");
  anchor.href = url;
  anchor.download = name;
  const face = element("span", "file-icon", icon(["M12 4v11m-5-4.5l5 5 5-5M5 20h14"]));
  const words = element("span", "");
  words.append(element("span", "file-name", name), element("span", "file-size", sized(size)));
  anchor.append(face, words);
  return anchor;
}

function sized(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function keyboard(message, act) {
  const rows = element("div", "buttons");
  rows.setAttribute("role", "group");
  rows.setAttribute("aria-label", "Buttons of this message");
  for (const row of message.keyboard) {
    const line = element("div", "button-row");
    for (const each of row) line.append(inlineButton(message, each, act));
    rows.append(line);
  }
  return rows;
}

function inlineButton(message, each, act) {
  const button = element("button", "button", each.text);
  button.type = "button";
  if (each.action === "url" || each.action === "web_app") {
    const mark = icon(["M7 17L17 7M9 7h8v8"]);
    mark.setAttribute("class", "mark");
    button.append(mark);
  }
  if (each.action === "copy_text") {
    const mark = icon(["M8 8V4h12v12h-4M4 8h12v12H4z"]);
    mark.setAttribute("class", "mark");
    button.append(mark);
  }
  button.addEventListener("click", () => act.press(message, each, button));
  return button;
}

export function preview(message) {
  const words = message.text.replace(/\s+/g, " ").trim();
  if (!message.media) return words;
  const kind = message.media.kind === "photo" ? "🖼 Picture" : `📄 ${message.file.name}`;
  return words ? `${kind === "🖼 Picture" ? "🖼" : "📄"} ${words}` : kind;
}

const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export function dayName(seconds) {
  const day = new Date(seconds * 1000);
  const today = new Date();
  const yesterday = new Date(today);
  yesterday.setDate(today.getDate() - 1);
  if (day.toDateString() === today.toDateString()) return "Today";
  if (day.toDateString() === yesterday.toDateString()) return "Yesterday";
  return dayFormat.format(day);
}
