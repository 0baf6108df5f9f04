/** What `xps --help` says; of one command, what `xps serve --help` or `xps state --help` does. */
export function help(command?: string): string {
  const parts = command === 'serve' ? [serve] : command === 'state' ? [state] : [serve, state]
  const usage = ['Usage', ...parts.map((part) => part.usage), ...(parts.length > 1 ? [others] : [])]
  const examples = ['Examples', ...parts.flatMap((part) => part.examples)]
  const blocks = [usage.join('\n'), ...parts.map((part) => part.options), examples.join('\n')]
  return ['xps: sessions and pipes', ...blocks, ending].join('\n\n')
}

const others = `  xps --help               this page; xps serve --help and xps state --help are its parts
  xps --version            the version`

const serve = {
  usage: '  xps serve [options]      take connections in and move their bytes',
  options: `Options of serve; --http, --https, --upstream, --file and --proxy-protocol as often as you like
  --http LISTEN=URL          forward HTTP requests that come in on LISTEN to URL
  --http LISTEN=DIR          serve the files of the folder DIR over HTTP
  --https LISTEN=URL or DIR  the same, encrypted
  --upstream LISTEN=TARGET   relay what comes in on LISTEN to TARGET
  --file LISTEN=PATH         send the file PATH to whoever connects to LISTEN
  --listing                  show what is in a folder that has no index.html
  --fallback FILE            the file for paths that lead to nothing, for apps with routes of their own
  --cert FILE, --key FILE    the certificate of --https and its key (default: a self-signed one is made)
  --access-log               print a line for each HTTP request
  --proxy-protocol TRUSTED   believe these proxies, which begin with a PROXY header, in who their clients are
  --send-proxy 1 or 2        tell upstreams who the client is, by a PROXY header of that version
  --root DIR                 the folder that files must lie in (default: the current one)
  --connect-timeout MS       how long an upstream may take to answer (default: 3000)
  --deadline MS              how long sessions may take to finish when stopping (default: 10000)

  LISTEN   PORT, HOST:PORT, [IPV6]:PORT or unix:PATH; a port alone listens on all addresses
  TARGET   HOST:PORT, [IPV6]:PORT or unix:PATH
  URL      http://HOST[:PORT][/PATH], or https:// or h2c:// (HTTP/2 without TLS)
  TRUSTED  addresses and networks with commas between, or loopback, private, unix
  MS       milliseconds`,
  examples: [
    '  xps serve --http 8003=http://127.0.0.1:3000 --http 8004=./public',
    '  xps serve --https 8443=http://127.0.0.1:3000 --cert app.pem --key app.key',
    '  xps serve --upstream 8001=127.0.0.1:3000',
    '  xps serve --http 8003=http://127.0.0.1:3000 --proxy-protocol 10.0.0.0/8',
    '  xps serve --upstream 8001=127.0.0.1:3000 --file 8002=public/sample.txt',
    '  xps serve --upstream 127.0.0.1:5433=unix:/run/postgresql/.s.PGSQL.5432',
  ],
}

const state = {
  usage: `  xps state [options]      serve shared sessions with locks
  xps state ls             list the sessions of a running server: ids, and when they expire
  xps state show ID        print the keys and values of a session
  xps state rm ID          remove a session
  xps state watch          print what happens, until Ctrl-C`,
  options: `Options of state (MS: milliseconds)
  --port PORT                where to listen (default: 9090)
  --host HOST                on which address (default: 127.0.0.1; others need a secret, or --public)
  --store file:DIR           keep each session in a file of DIR (default: file:sessions)
  --store lmdb:DIR           keep them in an LMDB environment in DIR (needs the package lmdb)
  --store memory             keep sessions in memory; they are gone with the process
  --store redis://HOST:PORT[/DB], or rediss:// for TLS
                             keep them in Redis or Valkey, for several servers (needs the package redis); a password
                             may be in XPS_REDIS_PASSWORD
  --store postgres://USER@HOST/DB
                             keep them in tables of Postgres, for several servers (needs the package pg); a password
                             may be in PGPASSWORD
  --cert FILE, --key FILE    encrypt, with this certificate and its key
  --secret-file FILE         what clients must say first is the first line of FILE (or: XPS_STATE_SECRET)
  --admin                    allow clients to list and watch (ls, watch); whoever knows an id has the session
  --public                   listen for other machines without a secret
  --idle-lifetime MS         how long a session may be unused (default: 86400000, a day; 0 for ever)
  --lock-timeout MS          how long one waits for a session that another has (default: 5000)
  --lock-lease MS            how long one who has a session may be silent while others wait (default: 30000)
  --deadline MS              how long clients may take to finish when stopping (default: 10000)

Options of state ls, show, rm and watch
  --server ADDRESS           the server (default: 127.0.0.1:9090); tls://HOST:PORT if it encrypts
  --ca FILE                  whose signature on its certificate is trusted (default: those that Node knows)
  --secret-file FILE         as above`,
  examples: [
    '  xps state --store file:/var/lib/sessions --admin',
    '  xps state --store redis://127.0.0.1:6379',
    '  xps state --host 0.0.0.0 --cert state.pem --key state.key --secret-file secret',
    '  xps state ls --server tls://state.example.com:9090 --secret-file secret',
    '  xps state watch',
  ],
}

const ending = `SIGINT (Ctrl-C) or SIGTERM stops listening and lets sessions finish; a second one ends them.
Exit codes: 0 done, 1 something failed, 2 something was typed wrong.
`
