// Asking for attention when the page is not in sight: title, notification, a soft sound.

const KEY = "umbra-notifications";

let unseen = 0;
let audio = null;

export const notifications = {
  isOn: () => localStorage.getItem(KEY) !== "off",
  async toggle() {
    localStorage.setItem(KEY, this.isOn() ? "off" : "on");
    if (this.isOn() && "Notification" in window && Notification.permission === "default") {
      await Notification.requestPermission();
    }
  },
};

// Asked once, after the person has written something: before that nobody knows what it is for.
let hasInvited = false;

export async function invite() {
  if (hasInvited || !notifications.isOn() || !("Notification" in window)) return;
  hasInvited = true;
  if (Notification.permission === "default") await Notification.requestPermission();
}

// Browsers allow sound only after a gesture, so the first one prepares it.
addEventListener("pointerdown", () => { audio ??= new AudioContext(); }, { once: true });

export function attend(title, body, isSilent) {
  if (!document.hidden) return;
  unseen += 1;
  retitle();
  if (isSilent || !notifications.isOn()) return;
  chime();
  if ("Notification" in window && Notification.permission === "granted") {
    const shown = new Notification(title, { body, icon: "/page/icon.svg", tag: "umbra" });
    shown.onclick = () => {
      window.focus();
      shown.close();
    };
  }
}

export function retitle(name) {
  if (name) document.body.dataset.title = name;
  const plain = document.body.dataset.title ?? "Umbra";
  document.title = unseen ? `(${unseen}) ${plain}` : plain;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  retitle();
});

function chime() {
  if (!audio) return;
  for (const [frequency, delay] of [[659, 0], [880, 0.11]]) {
    const start = audio.currentTime + delay;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.06, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0005, start + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.55);
  }
}
