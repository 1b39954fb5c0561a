// Brings the parts of a page that changed up to date when the server says that there is something new.

const FOCUSABLE = "a, button, input, select, textarea, summary, [tabindex]";
const live = document.getElementById("live");
let isFetching = false;
let isStale = false;

function tell(text) {
  if (!live) return;
  live.textContent = text;
  live.classList.toggle("off", text === "not connected");
}

function replace(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const found = fresh.getElementById(part.id);
    if (!found || found.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) ? place(document.activeElement, part) : null;
    const scrolled = [...part.querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop]);
    part.replaceChildren(...found.childNodes);
    [...part.querySelectorAll(".scroll, pre")].forEach((one, number) => {
      if (scrolled[number]) [one.scrollLeft, one.scrollTop] = scrolled[number];
    });
    if (focused !== null) part.querySelectorAll(FOCUSABLE)[focused]?.focus({ preventScroll: true });
  }
}

function place(element, part) {
  return [...part.querySelectorAll(FOCUSABLE)].indexOf(element);
}

async function update() {
  if (isFetching) { isStale = true; return; }
  isFetching = true;
  isStale = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    tell("not connected");
  } finally {
    isFetching = false;
  }
  if (isStale) setTimeout(update, 1000);
}

// A page that nobody sees has no connection: browsers allow few to one server.
let events = null;

function follow(address) {
  if (document.hidden) {
    events?.close();
    events = null;
  } else if (events === null) {
    events = new EventSource(address);
    events.addEventListener("open", () => tell("live"));
    events.addEventListener("error", () => tell("not connected"));
    events.addEventListener("changed", update);
    events.addEventListener("over", () => {
      events.close();
      tell("");
    });
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

const address = document.body.dataset.events;
if (address) {
  follow(address);
  document.addEventListener("visibilitychange", () => follow(address));
}
