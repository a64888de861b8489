// Platform storage: keeps small values for tools whose cookies the browser
// withholds, for as long as this page is open. Each tool sees its own origin's.
const settings = document.getElementById("storage");
const origins = settings.dataset.origins.split(" ");
const faults = new Set(settings.dataset.faults.split(" "));
const prefix = faults.has("storage-old-subjects") ? "org.imsglobal.lti." : "lti.";
const stores = new Map();
const maxKeys = 100;
const maxValue = 4096;

// A page that only points to its frame keeps nothing itself.
const keeps = settings.dataset.role !== "host";

// Called by the page around when its answers are to come from the wrong window.
window.answerInstead = (target, answer, origin) => target.postMessage(answer, origin);

const refuse = (code, message) => ({ error: { code, message } });

function capabilities() {
  const where = keeps ? {} : { frame: settings.dataset.name };
  const supported = ["put_data", "get_data"].map((name) => ({ subject: prefix + name, ...where }));
  return { supported_messages: [{ subject: prefix + "capabilities" }, ...supported] };
}

function put(store, { key, value }) {
  if (faults.has("storage-put-error")) return refuse("storage_exhaustion", "The storage is full.");
  if (typeof key !== "string" || (typeof value !== "string" && value !== null)) return refuse("bad_request", "key and value must be text");
  if (value === null) {
    store.delete(key);
    return { key, value };
  }
  if (value.length > maxValue || (store.size >= maxKeys && !store.has(key))) return refuse("storage_exhaustion", "The storage is full.");
  store.set(key, value);
  return { key, value };
}

function get(store, { key }) {
  if (typeof key !== "string") return refuse("bad_request", "key must be text");
  const value = store.has(key) ? store.get(key) : null;
  return { key, value: faults.has("storage-get-other") ? "another value" : value };
}

function respond(message, origin) {
  if (message.subject === prefix + "capabilities") return capabilities();
  if (!origins.includes(origin)) return refuse("unauthorized", "This origin is not a tool of this platform.");
  if (!stores.has(origin)) stores.set(origin, new Map());
  if (keeps && message.subject === prefix + "put_data") return put(stores.get(origin), message);
  if (keeps && message.subject === prefix + "get_data") return get(stores.get(origin), message);
  return refuse("unsupported_subject", "Not known here.");
}

window.addEventListener("message", (event) => {
  const message = event.data;
  if (typeof message !== "object" || message === null || typeof message.subject !== "string" || !message.subject.startsWith(prefix)) return;
  if (message.subject.endsWith(".response") || message.subject.endsWith(".close") || typeof message.message_id !== "string") return;
  if (faults.has("storage-silent") || event.origin === "null") return;
  const id = faults.has("storage-wrong-id") ? message.message_id + "-other" : message.message_id;
  const answer = { subject: message.subject + ".response", message_id: id, ...respond(message, event.origin) };
  const beside = window.frames[settings.dataset.name];
  if (faults.has("storage-other-source") && beside && beside.answerInstead) beside.answerInstead(event.source, answer, event.origin);
  else if (faults.has("storage-other-source") && window.parent.answerInstead) window.parent.answerInstead(event.source, answer, event.origin);
  else event.source.postMessage(answer, event.origin);
});
