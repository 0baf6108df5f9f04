import { defineConfig } from 'tsup'

// ESM only: `require('xps')` works on every Node that is supported, and gives the very same classes.
export default defineConfig({
  entry: {
    index: 'src/index.ts',
    http: 'src/http/index.ts',
    'http-proxy': 'src/http-proxy/index.ts',
    state: 'src/state/index.ts',
    'http-sessions': 'src/http-sessions/index.ts',
    soap: 'src/soap/index.ts',
    testing: 'src/testing/index.ts',
    cli: 'src/cli/main.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  dts: {
    entry: {
      index: 'src/index.ts',
      http: 'src/http/index.ts',
      'http-proxy': 'src/http-proxy/index.ts',
      state: 'src/state/index.ts',
    'http-sessions': 'src/http-sessions/index.ts',
      soap: 'src/soap/index.ts',
      testing: 'src/testing/index.ts',
    },
    compilerOptions: { stripInternal: true },
  },
  clean: true,
  sourcemap: true,
  splitting: true,
  removeNodeProtocol: false,
})
