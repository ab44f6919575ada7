// The one way to the service: same origin, with the page's own secret beside the cookie.

const secret = document.querySelector("meta[name=page-secret]").content;

export class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      ...options,
      headers: { "x-sottovoce-page": secret, ...(options.body ? { "content-type": "application/json" } : {}) },
    });
  } catch {
    throw new Failure("unreachable", "The service does not answer.");
  }
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Failure(said.code ?? `http_${response.status}`, said.message ?? response.statusText);
}

export function get(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, each);
  }
  return call(`/api/${path}${search.size ? `?${search}` : ""}`);
}

export const post = (path, body) => call(`/api/${path}`, { method: "POST", body: JSON.stringify(body ?? {}) });
