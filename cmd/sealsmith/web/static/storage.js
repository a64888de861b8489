// Platform storage (1EdTech: Client Side postMessages, Platform Storage). Puts a secret into the LMS's page before the
// launch, or reads it back after it. The secret is sent to one origin only, and an answer counts only from there; whether
// the secret is right is decided on the server. Without an answer in two seconds the page says what to do instead.
import './handover.js';

const box = document.querySelector('[data-storage]');
const { kind, target, origin, key, value, next } = box.dataset;
const patience = 2000;
const frameName = /^[A-Za-z0-9_.:-]{1,64}$/;
const prefixes = ['lti.', 'org.imsglobal.lti.'];
const host = window.opener || window.parent;

// frame finds the window that answers: the LMS's page, or a frame in it. Looking into a page of another site may throw.
const frame = name => {
  if (!name || name === '_parent' || !frameName.test(name)) return host;
  for (const w of [host, window.top]) {
    try { if (w.frames[name]) return w.frames[name]; } catch { /* not there */ }
  }
  return host;
};

// ask posts a message under every name it has had, and returns the first answer that passes.
const ask = (to, name, body, toOrigin) => new Promise((resolve, reject) => {
  const id = crypto.randomUUID();
  const listen = e => {
    if (e.source !== to || (toOrigin !== '*' && e.origin !== toOrigin)) return;
    const d = e.data;
    if (d === null || typeof d !== 'object' || d.message_id !== id) return;
    if (!prefixes.some(p => d.subject === p + name + '.response')) return;
    stop();
    if (d.error) reject(d.error); else resolve(d);
  };
  const timer = setTimeout(() => { stop(); reject(new Error('no answer')); }, patience);
  const stop = () => { clearTimeout(timer); window.removeEventListener('message', listen); };
  window.addEventListener('message', listen);
  for (const p of prefixes) to.postMessage({ subject: p + name, message_id: id, ...body }, toOrigin);
});

// storage is the window that stores. Where the LMS has not named it, it is asked; the question holds no secret.
const storage = async name => {
  if (target) return frame(target);
  const { supported_messages: list } = await ask(host, 'capabilities', {}, '*');
  const found = Array.isArray(list) && list.find(m => m && prefixes.some(p => m.subject === p + name));
  if (!found) throw new Error('no storage');
  return frame(found.frame);
};

const run = async () => {
  if (host === window) throw new Error('nobody around');
  if (kind === 'store') {
    await ask(await storage('put_data'), 'put_data', { key, value }, origin);
    location.replace(next);
    return;
  }
  const answer = await ask(await storage('get_data'), 'get_data', { key }, origin);
  if (typeof answer.value !== 'string' || !answer.value) throw new Error('nothing stored');
  const form = document.querySelector('form[data-confirm]');
  form.elements.secret.value = answer.value;
  form.submit();
};

run().catch(() => {
  box.querySelector('[data-busy]').hidden = true;
  box.querySelector('[data-failed]').hidden = false;
});
