// The list of messages: in order, grouped, with days, an unread line and a place to scroll to.

import { dayName, element, messageElement } from "/page/render.js";

const GROUP_S = 300;
const NEAR_BOTTOM_PX = 90;

const byId = (id) => document.getElementById(id);

export class MessageList {
  constructor(act) {
    this.act = act;
    this.list = byId("messages");
    this.scroll = byId("scroll");
    this.down = byId("down");
    this.badge = byId("down-badge");
    this.messages = new Map();
    this.unseen = 0;
    this.read = 0;
    this.typing = null;
    this.down.addEventListener("click", () => this.toBottom(true));
    this.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#stay()).observe(this.scroll);
    this.isFollowing = true;
    this.lastTop = 0;
  }

  reset(messages, read) {
    const kept = this.scroll.scrollTop;
    const stayed = this.isFollowing;
    this.list.replaceChildren();
    this.messages.clear();
    this.read = read;
    this.unseen = 0;
    for (const message of messages) this.#insert(message, false);
    this.#arrange();
    if (stayed) this.toBottom(false);
    else this.scroll.scrollTop = kept;
    this.#scrolled();
  }

  // Returns true when the message is new here.
  put(message) {
    const old = this.messages.get(message.message_id);
    const near = this.isFollowing;
    if (old) {
      const made = this.#made(message);
      old.item.replaceWith(made);
      this.messages.set(message.message_id, { message, item: made });
    } else {
      this.#insert(message, true);
      if (message.from === "bot") this.showTyping(false);
      const mine = message.from === "user" && message.user_id === this.act.userId;
      if (!near && !mine) this.unseen += 1;
      if (document.hidden && !mine) this.#markUnread(message.message_id);
    }
    this.#arrange();
    const mine = message.from === "user" && message.user_id === this.act.userId;
    // At once, not smoothly: the next message of a burst would find the scroll still on its way.
    if (near || (!old && mine)) this.toBottom(false);
    this.#scrolled();
    return !old;
  }

  remove(messageId) {
    this.messages.get(messageId)?.item.remove();
    this.messages.delete(messageId);
    this.#arrange();
  }

  get(messageId) {
    return this.messages.get(messageId)?.message;
  }

  lastOf(userId) {
    const own = [...this.messages.values()].filter(
      ({ message }) => message.user_id === userId && !message.media,
    );
    return own.at(-1)?.message;
  }

  get size() {
    return this.messages.size;
  }

  setRead(messageId) {
    this.read = Math.max(this.read, messageId);
    for (const [id, { item }] of this.messages) item.classList.toggle("read", id <= this.read);
  }

  show(messageId) {
    const item = this.messages.get(messageId)?.item;
    if (!item) return;
    item.scrollIntoView({ block: "center", behavior: "smooth" });
    item.classList.remove("flash");
    requestAnimationFrame(() => item.classList.add("flash"));
  }

  showTyping(isTyping) {
    if (!isTyping) {
      this.typing?.remove();
      this.typing = null;
    } else if (!this.typing) {
      this.typing = element("li", "typing-bubble", element("i"), element("i"), element("i"));
      this.typing.setAttribute("aria-hidden", "true");
      this.list.append(this.typing);
      if (this.isFollowing) this.toBottom(false);
    }
  }

  toBottom(smooth) {
    this.scroll.scrollTo({ top: this.scroll.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.isFollowing = true;
    if (!smooth) this.lastTop = this.scroll.scrollTop;
  }

  settle() {
    this.#stay();
  }

  clearUnread() {
    this.list.querySelector(".unread")?.remove();
  }

  #made(message) {
    const item = messageElement(message, this.act);
    item.classList.toggle("read", message.message_id <= this.read);
    return item;
  }

  #insert(message, isNew) {
    const item = this.#made(message);
    item.classList.toggle("new", isNew);
    if (this.typing) this.typing.before(item);
    else this.list.append(item);
    this.messages.set(message.message_id, { message, item });
  }

  // Day lines and groups depend on neighbours, so they are laid out after every change.
  #arrange() {
    for (const line of this.list.querySelectorAll(".day")) line.remove();
    const all = [...this.messages.values()].sort((a, b) => a.message.message_id - b.message.message_id);
    let before = null;
    for (const each of all) {
      const day = dayName(each.message.date);
      if (!before || dayName(before.message.date) !== day) {
        each.item.before(element("li", "day", day));
        before?.item.classList.add("last");
        before = null;
      }
      const joins =
        before !== null &&
        before.message.user_id === each.message.user_id &&
        before.message.from === each.message.from &&
        each.message.date - before.message.date < GROUP_S &&
        before.message.keyboard.length === 0;
      before?.item.classList.toggle("last", !joins);
      each.item.classList.toggle("first", !joins);
      each.item.classList.add("last");
      before = each;
    }
  }

  #markUnread(messageId) {
    if (this.list.querySelector(".unread")) return;
    this.messages.get(messageId).item.before(element("li", "unread", "New messages"));
  }

  #isNear() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }

  #stay() {
    if (this.isFollowing) this.toBottom(false);
  }

  #scrolled() {
    // Only a move upwards stops following: a smooth scroll is still on its way down.
    const top = this.scroll.scrollTop;
    if (this.#isNear()) this.isFollowing = true;
    else if (top < this.lastTop - 1) this.isFollowing = false;
    this.lastTop = top;
    if (this.isFollowing) this.unseen = 0;
    this.down.hidden = this.isFollowing;
    this.badge.hidden = this.unseen === 0;
    this.badge.textContent = String(this.unseen);
    this.down.setAttribute(
      "aria-label",
      this.unseen ? `${this.unseen} new messages, to the newest` : "To the newest message",
    );
  }
}
