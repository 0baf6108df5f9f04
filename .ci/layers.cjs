// Who may import whom; the picture is in docs/architecture.md. A room without a rule here is an error too.
//
//        cli                    the public entries only
//    http-proxy                 a face on http
//    http-sessions              on http and state: what joins the two
//    index · testing            testing: everything below it
//   http   state   soap         never each other
//          core
//    lifetime   pipe            do not know each other
//   errors · options · clock    nothing but node:

const rooms = {
  errors: [],
  clock: [],
  options: ['errors'],
  lifetime: ['errors', 'options', 'clock'],
  pipe: ['errors', 'options', 'clock'],
  admission: ['pipe', 'errors', 'options', 'clock'],
  core: ['admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  http: ['core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  state: ['core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  soap: ['core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  index: ['core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  testing: ['state', 'core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  'http-sessions': ['http', 'state', 'core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  'http-proxy': ['http', 'core', 'admission', 'lifetime', 'pipe', 'errors', 'options', 'clock'],
  cli: ['index', 'http', 'state'],
}

// A package of npm may be imported from core upwards, but not by the program on top; what it may load is named.
const withPackages = ['core', 'http', 'http-proxy', 'state', 'soap', 'testing', 'cli/development-certificate', 'cli/redis-store', 'cli/postgres-store']

// The files that touch a socket, a server or an address.
const withNet = [
  'core/socket/dial-socket',
  'core/socket/socket-sink',
  'core/listener',
  'core/upstream',
  'core/address',
  'core/memory-socket',
  'core/tls/upstream-tls',
  'admission/address-set',
]

// A room is a folder, or one file: src/core/…, src/errors.ts.
const pathOf = (names) => `^src/(${names.join('|')})(/|[.]ts$)`

module.exports = {
  forbidden: [
    ...Object.entries(rooms).map(([room, below]) => ({
      name: `${room}-imports`,
      comment: `${room} imports ${below.length > 0 ? `${below.join(', ')} and` : 'nothing but'} node:`,
      severity: 'error',
      from: { path: pathOf([room]) },
      to: { path: '^src/', pathNot: pathOf([room, ...below]) },
    })),
    {
      name: 'unknown-room',
      comment: 'a new folder or file right under src/ needs a line in .ci/layers.cjs',
      severity: 'error',
      from: { path: '^src/', pathNot: pathOf(Object.keys(rooms)) },
      to: {},
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-packages-here',
      comment: `only ${withPackages.join(', ')} may import packages`,
      severity: 'error',
      from: { path: '^src/', pathNot: pathOf(withPackages) },
      to: { dependencyTypesNot: ['core', 'local'] },
    },
    {
      name: 'declared-packages-only',
      comment: 'src imports what is in "dependencies" or "peerDependencies", never what only this repository has',
      severity: 'error',
      from: { path: '^src/' },
      // An optional peer is a package for development as well.
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'npm-bundled', 'undetermined'],
        dependencyTypesNot: ['npm-peer'],
      },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'src-only',
      comment: 'src imports no file outside src',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['local'], pathNot: '^src/' },
    },
    {
      name: 'net-in-core-only',
      comment: `only src/{${withNet.join(',')}}.ts may import node:net`,
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(${withNet.join('|')})[.]ts$` },
      to: { path: '^(node:)?net$', dependencyTypes: ['core'] },
    },
    {
      name: 'tls-in-core-only',
      comment: 'only src/core/socket/dial-socket.ts and src/core/tls/ may import node:tls',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/core/(socket/dial-socket[.]ts$|tls/)' },
      to: { path: '^(node:)?tls$', dependencyTypes: ['core'] },
    },
  ],
  options: {
    // Type-only imports are erased before this looks, as they are when the code runs.
    tsPreCompilationDeps: false,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['node', 'import', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
}
