// The only script of pages with values to copy. Clipboards are closed in many frames (an LMS has to allow clipboard-write),
// and the older way may be closed, too; then the value is selected, so that the keys for copying do the rest.
const told = document.createElement('p');
told.className = 'vh';
told.setAttribute('role', 'status');
document.body.append(told);

const mark = el => {
  const range = document.createRange();
  range.selectNodeContents(el);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
};

const copy = async el => {
  try { await navigator.clipboard.writeText(el.textContent); return true; } catch { /* not allowed here */ }
  mark(el);
  try { return document.execCommand('copy'); } catch { return false; }
};

for (const box of document.querySelectorAll('[data-copy]')) {
  const button = box.querySelector('button');
  const word = button.querySelector('[data-word]');
  const before = word.textContent;
  box.hidden = false;
  button.addEventListener('click', async () => {
    const done = await copy(document.getElementById(box.dataset.copy));
    word.textContent = done ? 'Copied' : 'Selected: press Ctrl+C';
    told.textContent = word.textContent;
    setTimeout(() => { word.textContent = before; }, 4000);
  });
}
