// Talking to the server: JSON in and out, problems as exceptions, runs followed as they change.

import { byId } from "./dom.js";

/** What the server refused: one sentence, and the field that it is about where there is one. */
export class Problem extends Error {
  constructor(sentence, field = null, status = 0) {
    super(sentence);
    this.field = field;
    this.status = status;
  }
}

const AWAY = "The server does not answer. It is asked again every few seconds; runs that are learning go on without it.";

/** Say something above everything else; "" takes it away. */
function banner(sentence) {
  byId("offline").textContent = sentence;
  byId("offline").hidden = !sentence;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    banner(AWAY);
    throw new Problem("The server does not answer; is photowords web still running?");
  }
  const told = await answer.json().catch(() => ({}));
  banner(answer.status === 403 ? told.error : ""); // a page that is not let in any more
  if (answer.ok) return told;
  throw new Problem(told.error ?? `The server refused this (${answer.status}).`, told.field ?? null, answer.status);
}

export const get = (path) => ask(path, {});

/** POST a JSON body; ``signal`` takes the question back. */
export const post = (path, body = {}, signal = undefined) =>
  ask(path, {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** POST a picture's bytes. */
export const upload = (file) =>
  ask("/api/photos", {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });

const UNSEEN = 5000; // milliseconds between askings of a page that nobody looks at

/**
 * Follow what changes on the server. ``changed`` gets each new state; ``gone`` the Problem when there is no such thing.
 * Returns the function that stops. A server that was killed and came back is found again; ``whole`` is where one asks
 * whether what is followed is still there. A browser has six connections for all of its pages: one that is hidden
 * keeps none, and asks now and then.
 */
export function follow(path, event, changed, gone = () => {}, whole = path.replace(/\/events$/, "")) {
  let source = null;
  let timer = 0;
  let over = false;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const later = (milliseconds) => {
    close();
    timer = setTimeout(again, milliseconds);
  };
  const open = () => {
    close();
    source = new EventSource(path);
    source.addEventListener(event, (message) => {
      banner("");
      changed(JSON.parse(message.data));
    });
    source.addEventListener("gone", () => {
      stop();
      gone(new Problem("This is not there any more.", null, 404));
    });
    source.onerror = () => !over && later(1500);
  };
  const again = async () => {
    try {
      const told = await get(whole);
      if (!over) changed(told); // also where too many pages are open for a stream of its own
    } catch (problem) {
      if (over) return;
      if (problem.status === 404) {
        stop();
        return gone(problem);
      }
    }
    if (over) return;
    if (document.hidden) later(UNSEEN);
    else open();
  };
  const look = () => {
    if (document.hidden) return later(UNSEEN);
    close();
    again();
  };
  const stop = () => {
    over = true;
    close();
    document.removeEventListener("visibilitychange", look);
  };
  document.addEventListener("visibilitychange", look);
  if (document.hidden) again();
  else open();
  return stop;
}

/**
 * Ask again every so many milliseconds while the page is looked at; ``gone`` is told when there is no such thing any
 * more. Returns the function that stops.
 */
export function poll(path, milliseconds, changed, gone = () => {}) {
  let over = false;
  const round = async () => {
    if (over) return;
    if (!document.hidden) {
      try {
        const told = await get(path);
        if (!over) changed(told);
      } catch (problem) {
        if (problem.status === 404 && !over) return gone(problem); // of others the banner tells
      }
    }
    if (!over) setTimeout(round, milliseconds);
  };
  round();
  return () => {
    over = true;
  };
}
