// Pages that pass something on do so by themselves. Each of them also has a
// button or a link for browsers without scripts.
const form = document.querySelector("form[data-submit]");
if (form) form.submit();
const leave = document.querySelector("a[data-leave]");
if (leave) window.top.location.assign(leave.href);
