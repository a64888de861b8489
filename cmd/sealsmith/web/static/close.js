// The only script of the page after a registration: tells the LMS that its frame or window may go (LTI Dynamic
// Registration). Not by itself, because the page says what has to be done next; and to any origin, because the message
// holds nothing, and the page around us is not known to be the platform's own host.
const lms = window.opener || (window.parent === window ? null : window.parent);
const box = document.querySelector('[data-close]');
if (lms && box) {
  box.hidden = false;
  box.querySelector('button').addEventListener('click', () => lms.postMessage({ subject: 'org.imsglobal.lti.close' }, '*'));
}
