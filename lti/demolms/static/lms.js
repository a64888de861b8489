// Pages that pass something on do so by themselves. Each of them also has a
// button or a link for browsers without scripts.
const form = document.querySelector("form[data-submit]");
if (form) form.submit();
const leave = document.querySelector("a[data-leave]");
if (leave) window.top.location.assign(leave.href);

// A tool that has registered itself asks for its frame to be closed.
const registering = document.querySelector("iframe[data-register]");
if (registering) {
  window.addEventListener("message", (event) => {
    if (event.source !== registering.contentWindow || typeof event.data !== "object" || event.data === null) return;
    if (event.data.subject === "org.imsglobal.lti.close") window.location.assign(registering.dataset.next);
  });
}
