/**
 * Takes secrets out of text that comes from elsewhere: some servers quote the key that they refuse, and each does
 * it in its own way.
 */

/** `secret` in each form in which it may be quoted is replaced. */
export function redact(text: string, secret: string): string {
  if (secret === '') return text;
  return formsOf(secret).reduce((clean, form) => clean.replaceAll(form, '…'), text);
}

/** The longer ones first: one may hold another. */
function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const inUrl = encodeURIComponent(secret);
  const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '');
  const forms = [
    secret,
    json,
    // JSON that was quoted in JSON.
    JSON.stringify(json).slice(1, -1),
    inUrl,
    inUrl.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    encodeURI(secret),
    html(secret),
    base64,
    base64.replaceAll('+', '-').replaceAll('/', '_'),
  ];
  return [...new Set(forms)].sort((a, b) => b.length - a.length);
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
