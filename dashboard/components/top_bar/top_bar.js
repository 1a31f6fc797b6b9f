// The bar above every page: copies the address of the present view with the choices that stand at
// their default spelt out, lists the keys, and leads through the tour.
const SEEN = "csv-lab-tour-seen"; // kept by the browser
const STEP = "csv-lab-tour-step"; // kept by the tab, so that the tour goes on over pages

// A browser may refuse to keep anything: the tour then opens on every visit.
function kept(store, key, value) {
  try {
    const storage = window[store];
    if (value === undefined) return storage.getItem(key);
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // Nothing is kept.
  }
  return null;
}

function writing(event) {
  const [target] = event.composedPath();
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

// Follows Streamlit's own link, which keeps the session; beyond ten pages it is there after a click.
// Without one the browser loads the page.
function follow(page, mayLookFurther = true) {
  const links = [...document.querySelectorAll("[data-testid=stSidebarNavLink]")];
  const link = links.find((one) => new URL(one.href).pathname.endsWith(`/${page}`));
  const more = document.querySelector("[data-testid=stSidebarNavViewButton]");
  if (link) link.click();
  else if (more && mayLookFurther) {
    more.click();
    setTimeout(() => follow(page, false), 200);
  } else window.location.assign(page);
}

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const [field, status, dialog, tour] = ["input", "[role=status]", "dialog", ".tour"].map(find);

  find(".copy").onclick = async () => {
    const url = new URL(window.location.href);
    for (const [key, value] of Object.entries(data.choices)) {
      if (!url.searchParams.has(key)) url.searchParams.set(key, value);
    }
    field.value = url.href;
    try {
      await navigator.clipboard.writeText(field.value);
      field.hidden = true;
      status.className = "";
      status.textContent = "Copied";
      setTimeout(() => (status.textContent = ""), 3000);
    } catch {
      // Without TLS, or where the browser says no: left to the user.
      field.hidden = false;
      field.focus();
      field.select();
      status.className = "long";
      status.textContent = "Copy it from here";
    }
  };

  find(".docs").onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    follow("docs");
  };

  find(".open-keys").onclick = () => dialog.showModal();
  find(".close").onclick = () => dialog.close();
  const onKey = (event) => {
    if (event.key === "?" && !writing(event) && !dialog.open) dialog.showModal();
  };
  document.addEventListener("keydown", onKey);

  function show(step) {
    tour.hidden = step === null;
    kept("sessionStorage", STEP, step === null ? null : String(step));
    if (step === null) return;
    const { title, words, page, label } = data.steps[step];
    find(".step").textContent = `${step + 1} of ${data.steps.length}: ${title}.`;
    find(".words").textContent = words;
    find(".back").hidden = step === 0;
    find(".next").hidden = step === data.steps.length - 1;
    find(".go").hidden = page === data.page;
    find(".go").textContent = `Open ${label}`;
    find(".back").onclick = () => show(step - 1);
    find(".next").onclick = () => show(step + 1);
    find(".go").onclick = () => follow(page);
  }

  find(".end").onclick = () => {
    kept("localStorage", SEEN, "yes");
    show(null);
  };
  find(".open-tour").onclick = () => show(0);
  const step = kept("sessionStorage", STEP);
  if (step !== null && data.steps[step]) show(Number(step));
  else show(data.page === "" && kept("localStorage", SEEN) === null ? 0 : null);

  return () => document.removeEventListener("keydown", onKey);
}
