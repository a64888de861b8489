// A tool that has registered itself asks for its frame to be closed. It may do
// so before the page around it is complete, hence this is not deferred.
window.addEventListener("message", (event) => {
  const frame = document.querySelector("iframe[data-register]");
  if (!frame || event.source !== frame.contentWindow || typeof event.data !== "object" || event.data === null) return;
  if (event.data.subject === "org.imsglobal.lti.close") window.location.assign(frame.dataset.next);
});
