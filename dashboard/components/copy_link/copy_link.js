// Copies the address of the present view, with the choices that stand at their default spelt out.
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  const field = parentElement.querySelector("input");
  const status = parentElement.querySelector("[role=status]");

  function address() {
    const url = new URL(window.location.href);
    for (const [key, value] of Object.entries(data.choices)) {
      if (!url.searchParams.has(key)) url.searchParams.set(key, value);
    }
    return url.href;
  }

  button.onclick = async () => {
    field.value = address();
    try {
      await navigator.clipboard.writeText(field.value);
      field.hidden = true;
      status.textContent = "Copied";
      setTimeout(() => (status.textContent = ""), 3000);
    } catch {
      // Without TLS, or where the browser says no: left to the user.
      field.hidden = false;
      field.focus();
      field.select();
      status.textContent = "Copy it from here";
    }
  };
}
