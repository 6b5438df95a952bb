// What is being prepared in this tab: the photo, the clicks, the words. Kept by the browser until it is learned, so
// that a reload loses nothing; what is being learned lives in its run folder, not here.

const KEY = "photowords-draft";
const MADE = ["photo", "clicks", "box", "words", "start", "name", "settings", "samples"]; // by whoever uses the page
const EMPTY = {
  photo: null, // {photo, width, height, url}
  clicks: [], // {x, y, not} in pixels of the photo
  box: null, // [left, top, right, bottom]
  past: [], // what clicks and box were, for undo
  mask: null, // {url, share, of}: of which clicks and box
  words: [], // {text, trainable}
  said: "", // the captioner's own words
  label: null, // {name, confidence}
  touched: false, // the user changed the words, so reading the photo again would lose that
  start: { kind: "caption" },
  name: "", // "" is the label's or the last word
  settings: {},
  samples: null,
  read: null, // which photo, clicks and start the words were read from
  ran: null, // the run that was begun from this, as it stands
  drawn: null, // the pictures of the plain words
};

class Draft extends EventTarget {
  constructor() {
    super();
    this.seen = new AbortController();
    let kept = null;
    try {
      kept = JSON.parse(sessionStorage.getItem(KEY));
    } catch {
      /* an empty draft will do */
    }
    Object.assign(this, structuredClone(EMPTY), kept);
  }

  /** Change some of it and tell everybody which. */
  set(changes) {
    if (!("ran" in changes) && MADE.some((key) => key in changes)) this.ran = null;
    Object.assign(this, changes);
    const kept = Object.fromEntries(Object.keys(EMPTY).map((key) => [key, this[key]]));
    try {
      sessionStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      /* a browser that keeps nothing: the page works until it is reloaded */
    }
    for (const key of Object.keys(changes)) this.dispatchEvent(new Event(key));
  }

  /** Begin anew, with a photo or without. */
  begin(changes = {}) {
    this.set({ ...structuredClone(EMPTY), ...changes });
  }

  /** Call this now and whenever one of these changes, until ``unseen``. */
  when(keys, run) {
    for (const key of keys) this.addEventListener(key, run, { signal: this.seen.signal });
    run();
  }

  /** The screens that show the draft are gone: nobody is called any more. */
  unseen() {
    this.seen.abort();
    this.seen = new AbortController();
  }

  /** Whether there is something that no run was begun from. */
  get isUnlearned() {
    return this.photo !== null && this.ran === null;
  }

  /** All that whoever uses the page has made, to be compared. */
  get made() {
    return JSON.stringify(MADE.map((key) => this[key]));
  }

  /** What the server needs to know of the photo. */
  get selection() {
    return { photo: this.photo.photo, clicks: this.clicks, box: this.box };
  }
}

export const draft = new Draft();
