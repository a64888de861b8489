// In a frame without cookies the way goes on in a window of its own. What a teacher chooses there has to come back to this
// frame: around it is the LMS's dialog, which learns nothing from a form that another window sends. Only pages of our own
// origin in a window that was opened from here are listened to; where the form may go, the page's policy says.
const once = document.querySelector('[data-once]');
const away = document.querySelector('[data-away]');

// The way in is good for one click: the LMS answers a login once.
once?.querySelector('a').addEventListener('click', () => setTimeout(() => { once.hidden = true; away.hidden = false; }));

window.addEventListener('message', e => {
  const { subject, action, jwt } = e.data ?? {};
  if (e.origin !== location.origin || e.source?.opener !== window || subject !== 'sealsmith.chosen') return;
  const form = document.createElement('form');
  form.method = 'post';
  form.action = action;
  const field = document.createElement('input');
  field.type = 'hidden';
  field.name = 'JWT';
  field.value = jwt;
  form.append(field);
  document.body.append(form);
  e.source.postMessage({ subject: 'sealsmith.taken' }, location.origin);
  form.submit();
});
