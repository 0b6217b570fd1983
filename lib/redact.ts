/**
 * Takes secrets out of text that comes from elsewhere: some servers quote the key that they refuse, and each does
 * it in its own way.
 */

/** `secret` in each form in which it may be quoted is replaced by `by`. */
export function redact(text: string, secret: string, by = '…'): string {
  if (secret === '') return text;
  const forms = [...new Set([secret, decoded(secret)].flatMap(formsOf))].filter((form) => form !== '');
  // The longer ones first: one may hold another. Not as a pattern: `$&` would put the secret back.
  return forms
    .sort((a, b) => b.length - a.length)
    .reduce((clean, form) => clean.replaceAll(form, () => by), text);
}

/** A part of a URL as it is sent. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  // Half of a character cannot be written in a URL.
  const wellFormed = Buffer.from(secret).toString();
  const inUrl = encodeURIComponent(wellFormed);
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const withPlus = inUrl.replaceAll('%20', '+');
  return [
    secret,
    json,
    // JSON that was quoted in JSON.
    JSON.stringify(json).slice(1, -1),
    inUrl,
    inUrl.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    withPlus,
    encodeURI(wellFormed),
    userInfo(secret),
    html(secret),
    base64,
    base64.replaceAll('+', '-').replaceAll('/', '_'),
  ];
}

/** As a URL that was taken apart and put together again has it. */
function userInfo(secret: string): string {
  const url = new URL('http://host/');
  url.password = secret;
  return url.password;
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
