/**
 * Whether a URL is reached without the proxy. Entries as they are usual in NO_PROXY: `host` (its subdomains
 * too), `.suffix` or `*.suffix` (subdomains alone), each with `:port` if wanted, and `*` for everything.
 */
export function bypassesProxy(url: URL, noProxy: readonly string[]): boolean {
  const host = bare(url.hostname);
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy.some((entry) => {
    const pattern = entry.trim().toLowerCase();
    if (pattern === '') return false;
    if (pattern === '*') return true;
    const withPort = /^(.*[^:]):(\d+)$/.exec(pattern);
    // The colons of an IPv6 address without brackets are not a port's.
    const ported = withPort !== null && (pattern.startsWith('[') || !withPort[1]?.includes(':'));
    if (ported && withPort[2] !== port) return false;
    const name = bare((ported ? withPort[1] : pattern) ?? '').replace(/^\*(?=\.)/, '');
    if (name.startsWith('.')) return host.endsWith(name);
    return host === name || host.endsWith(`.${name}`);
  });
}

function bare(host: string): string {
  return host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}
