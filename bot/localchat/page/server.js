// Talking to the local chat: JSON there, a stream of changes back, reconnecting by itself.

const RETRY_MS = 1500;

export class Refused extends Error {}

async function answerOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    throw new Refused(`The server answered ${response.status}.`);
  }
  if (!response.ok) throw new Refused(body.error ?? `The server answered ${response.status}.`);
  return body;
}

export async function get(path) {
  return answerOf(await fetch(path, { cache: "no-store" }));
}

export async function post(path, body) {
  const isForm = body instanceof FormData;
  return answerOf(
    await fetch(path, {
      method: "POST",
      headers: isForm ? {} : { "Content-Type": "application/json" },
      body: isForm ? body : JSON.stringify(body),
    }),
  );
}

// Calls onChange for every change; onOpen after each connection, because changes may be missed.
export function follow({ onOpen, onChange, onLost }) {
  const stream = new EventSource("/client/events");
  stream.onopen = onOpen;
  stream.onmessage = (event) => onChange(JSON.parse(event.data));
  stream.onerror = () => {
    onLost();
    if (stream.readyState !== EventSource.CLOSED) return;
    stream.close();
    setTimeout(() => follow({ onOpen, onChange, onLost }), RETRY_MS);
  };
}
