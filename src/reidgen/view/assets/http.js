// Requests to the server, elements, and what went wrong in words.

export async function get(address, kind = "json") {
  return answer(await reached(fetch(address)), kind);
}

export async function post(address, body = {}) {
  const upload = body instanceof Blob;
  const headers = {"X-Reidgen": "1", ...(upload ? {} : {"Content-Type": "application/json"})};
  const sent = fetch(address, {method: "POST", headers, body: upload ? body : JSON.stringify(body)});
  return answer(await reached(sent), "json");
}

async function reached(sent) {
  try {
    return await sent;
  } catch {
    throw new Error("The server does not answer. Start reidgen view again; decisions that it took are kept.");
  }
}

async function answer(response, kind) {
  if (response.ok) return response[kind]();
  const told = await response.json().catch(() => ({}));
  throw Object.assign(new Error(told.error ?? `The server answered ${response.status}.`), {status: response.status, told});
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else if (value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

let hiding;
export function toast(text) {
  const box = document.getElementById("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.hidden = true; }, 7000);
}

export const number = (value) => value.toLocaleString("en");

// Run something, and show what went wrong.
export async function telling(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message);
    return null;
  }
}
