// The phone: one person, one chat, and everything that happens in it.

import { attend, invite, notifications, retitle } from "/page/attention.js";
import { Composer } from "/page/composer.js";
import { MessageList } from "/page/messages.js";
import { hueOf, initialOf, People } from "/page/people.js";
import { preview } from "/page/render.js";
import { follow, get, post } from "/page/server.js";

const TYPING_MS = 5500;
const TOAST_MS = 3200;
const ANSWER_WAIT_MS = 5000;
const LAST_USER = "umbra-user";

const byId = (id) => document.getElementById(id);

const state = {
  userId: 0,
  chatId: 0,
  bot: { name: "Umbra", username: "", description: "" },
  people: [],
  chats: [],
  unread: new Map(),
  pinned: null,
  isConnected: false,
  typingTimer: 0,
  toastTimer: 0,
};

const act = {
  get userId() { return state.userId; },
  nameOf,
  find: (id) => list.get(id),
  show: (id) => list.show(id),
  reply: (message) => composer.setContext({
    kind: "reply", message, title: `Reply to ${nameOf(message)}`, text: preview(message),
  }),
  command: (text) => send(text, null),
  press,
  enlarge,
  settle: () => list.settle(),
};
const list = new MessageList(act);
const composer = new Composer({ send, attach, lastOwn: () => list.lastOf(state.userId) });
const people = new People({ choose, add, notifications });

function nameOf(message) {
  if (message.from === "bot") return state.bot.name;
  return state.people.find((each) => each.user_id === message.user_id)?.name ?? "Somebody";
}

// ---- what the person does

async function send(text, context) {
  composer.setKeys(null);
  invite();
  const body = { user_id: state.userId, chat_id: state.chatId, text };
  if (context?.kind === "reply") body.reply_to = context.message.message_id;
  if (context?.kind === "edit") body.edit = context.message.message_id;
  await attempt(() => post("/client/send", body));
}

async function attach(file, caption) {
  const form = new FormData();
  form.append("user_id", state.userId);
  form.append("chat_id", state.chatId);
  form.append("caption", caption);
  form.append("file", file, file.name || "picture.png");
  await attempt(() => post("/client/upload", form));
}

async function press(message, button, face) {
  if (button.action === "url" && /^https?:/i.test(button.value)) {
    window.open(button.value, "_blank", "noopener,noreferrer");
    return;
  }
  if (button.action === "copy_text") {
    await attempt(() => navigator.clipboard.writeText(button.value.text));
    toast("Copied");
    return;
  }
  if (face.classList.contains("busy")) return;
  face.classList.add("busy");
  face.setAttribute("aria-busy", "true");
  await attempt(() => post("/client/press", {
    user_id: state.userId,
    chat_id: message.chat_id,
    message_id: message.message_id,
    text: button.text,
    wait_ms: ANSWER_WAIT_MS,
  }));
  face.classList.remove("busy");
  face.removeAttribute("aria-busy");
}

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message || "That did not work.");
    return null;
  }
}

// ---- what the phone shows

function toast(text) {
  const shown = byId("toast");
  shown.textContent = text;
  shown.hidden = false;
  clearTimeout(state.toastTimer);
  state.toastTimer = setTimeout(() => { shown.hidden = true; }, TOAST_MS);
}

function showAnswer({ text, show_alert: isAlert }) {
  if (!text) return;
  if (!isAlert) {
    toast(text);
    return;
  }
  byId("alert-text").textContent = text;
  const dialog = byId("alert");
  if (!dialog.open) dialog.showModal();
}

function enlarge(message) {
  byId("viewer-image").src = message.media.url;
  byId("viewer-image").alt = message.text;
  byId("viewer-caption").textContent = message.text;
  byId("viewer-save").href = message.media.url;
  byId("viewer-save").download = message.file.name;
  byId("viewer").showModal();
}

function showStatus() {
  const status = byId("status");
  const isTyping = state.typingTimer !== 0;
  status.dataset.state = state.isConnected ? (isTyping ? "typing" : "online") : "lost";
  status.textContent = state.isConnected ? (isTyping ? "typing…" : "online") : "reconnecting…";
}

function setTyping(isTyping) {
  clearTimeout(state.typingTimer);
  state.typingTimer = isTyping ? setTimeout(() => setTyping(false), TYPING_MS) : 0;
  list.showTyping(isTyping);
  showStatus();
}

function showPinned(ids) {
  const message = list.get(ids.at(-1));
  state.pinned = message ?? null;
  byId("pinned").hidden = !message;
  if (message) byId("pinned-text").textContent = preview(message);
}

function showWelcome() {
  byId("welcome").hidden = list.size > 0;
  byId("messages").hidden = list.size === 0;
  byId("welcome-title").textContent = state.bot.name;
  if (state.bot.description) byId("welcome-text").textContent = state.bot.description;
}

function showPeople() {
  const me = state.people.find((each) => each.user_id === state.userId);
  const name = me?.name ?? `Person ${state.userId}`;
  const group = state.chats.find((each) => each.chat_id === state.chatId && each.chat_id < 0);
  byId("title").textContent = group ? group.title : state.bot.name;
  byId("who-initial").textContent = initialOf(name);
  byId("who").className = `round ${hueOf(state.userId)}`;
  byId("who").setAttribute("aria-label", `You are ${name}. Change who is on the phone`);
  const others = [...state.unread.values()].reduce((sum, each) => sum + each, 0);
  byId("who-badge").hidden = others === 0;
  byId("who-badge").textContent = String(others);
  const listed = me ? state.people : [{ user_id: state.userId, name }, ...state.people];
  people.draw({
    people: listed,
    groups: state.chats.filter((each) => each.chat_id < 0 && each.members.includes(state.userId)),
    current: state.chatId,
    unread: state.unread,
  });
  retitle(state.bot.name);
}

// ---- who is on the phone

async function choose(id) {
  if (id > 0) state.userId = id;
  state.chatId = id;
  localStorage.setItem(LAST_USER, String(state.userId));
  const chat = id < 0 ? `&chat=${id}` : "";
  history.replaceState(null, "", `?user=${state.userId}${chat}`);
  state.unread.delete(id);
  if (byId("sheet").open) byId("sheet").close();
  setTyping(false);
  composer.clear();
  list.isFollowing = true;
  await load();
  if (matchMedia("(hover: hover)").matches) composer.text.focus();
}

async function add(userId, name) {
  const body = name ? { user_id: userId, name } : { user_id: userId };
  const added = await attempt(() => post("/client/person", body));
  if (added) await choose(userId);
}

// ---- what the server tells

async function load() {
  const chatId = state.chatId;
  const loaded = await attempt(() =>
    Promise.all([get("/client/state"), get(`/client/history?chat_id=${chatId}`)]));
  if (!loaded || chatId !== state.chatId) return;
  const [known, past] = loaded;
  Object.assign(state, { bot: known.bot, people: known.people, chats: known.chats });
  list.reset(past.messages, past.read);
  composer.setCommands(past.commands);
  composer.setKeys(past.messages.at(-1)?.reply_markup ?? null);
  showPinned(past.pinned);
  showPeople();
  showWelcome();
}

async function reload() {
  const known = await attempt(() => get("/client/state"));
  if (!known) return;
  Object.assign(state, { bot: known.bot, people: known.people, chats: known.chats });
  showPeople();
}

function onMessage({ chat_id: chatId, message }) {
  if (chatId !== state.chatId) {
    if (message.from === "bot" && message.edits === 0) {
      state.unread.set(chatId, (state.unread.get(chatId) ?? 0) + 1);
      showPeople();
    }
    return;
  }
  const isNew = list.put(message);
  if (!isNew) {
    if (state.pinned?.message_id === message.message_id) showPinned([message.message_id]);
    return;
  }
  showWelcome();
  if (message.from !== "bot") return;
  setTyping(false);
  if (message.reply_markup) composer.setKeys(message.reply_markup);
  attend(state.bot.name, preview(message), message.silent);
}

const handlers = {
  message: onMessage,
  deleted: (change) => { list.remove(change.message_id); showWelcome(); },
  typing: (change) => { if (change.chat_id === state.chatId) setTyping(true); },
  pinned: (change) => { if (change.chat_id === state.chatId) showPinned(change.message_ids); },
  read: (change) => { if (change.chat_id === state.chatId) list.setRead(change.message_id); },
  answer: (change) => { if (change.user_id === state.userId) showAnswer(change); },
  commands: async () => {
    const past = await attempt(() => get(`/client/history?chat_id=${state.chatId}&limit=1`));
    if (past) composer.setCommands(past.commands);
  },
  people: reload,
  profile: reload,
};

// ---- starting

byId("who").addEventListener("click", () => byId("sheet").showModal());
byId("start").addEventListener("click", () => send("/start", null));
byId("pinned").addEventListener("click", () => state.pinned && list.show(state.pinned.message_id));
byId("viewer-image").addEventListener("click", () => byId("viewer").close());
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) list.clearUnread();
});
document.addEventListener("keydown", (event) => {
  const isWriting = event.target.closest?.("input, textarea, dialog[open]");
  if (!isWriting && event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ") {
    composer.text.focus();
  }
});

async function begin() {
  const query = new URLSearchParams(location.search);
  const known = await attempt(() => get("/client/state"));
  const first = known?.people[0]?.user_id;
  const asked = Number(query.get("user")) || Number(localStorage.getItem(LAST_USER));
  const remembered = query.has("user") || known?.people.some((each) => each.user_id === asked);
  state.userId = (remembered && asked > 0 && asked) || first || 1;
  state.chatId = Number(query.get("chat")) || state.userId;
  follow({
    onOpen: async () => {
      state.isConnected = true;
      showStatus();
      await load();
    },
    onChange: (change) => handlers[change.type]?.(change),
    onLost: () => {
      state.isConnected = false;
      showStatus();
    },
  });
}

begin();
