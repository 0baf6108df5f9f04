// The same commands in both languages, and what is answered, to the byte.

const keys = Array.from({ length: 32 }, (_, index) => `key${index.toString().padStart(2, '0')}`)
/** 1 KB of text. */
const value = Array.from({ length: 1024 }, (_, place) => String.fromCharCode(33 + ((place * 7919) % 90))).join('')

const xps = {
  // Each connection has a session of its own open.
  prepare: { question: Buffer.from('new\r\n'), expected: { length: 37 } },
  put: { question: (key) => `put ${key} ${value}\r\n`, answer: 'ok\r\n' },
  get: { question: (key) => `get ${key}\r\n`, answer: `ok ${value}\r\n` },
}
const redis = {
  put: { question: (key) => array('SET', key, value), answer: '+OK\r\n' },
  get: { question: (key) => array('GET', key), answer: `$${value.length}\r\n${value}\r\n` },
}

/** How each server is spoken to. */
export const languages = { xps, redis }

/** So many commands that are sent together, and all that is answered. */
export function batch({ question, answer }, depth) {
  const bytes = Buffer.from(answer.repeat(depth))
  return {
    question: Buffer.from(keys.slice(0, depth).map(question).join('')),
    expected: { length: bytes.length, bytes },
  }
}

/** Reads answers whose length, and mostly also whose bytes, are known. */
export function newReader() {
  let got = 0
  return (slab, length, { length: whole, bytes }) => {
    const next = got + length
    if (next > whole || (bytes !== undefined && bytes.compare(slab, 0, length, got, next) !== 0)) {
      throw new Error(`a wrong answer: ${slab.latin1Slice(0, Math.min(length, 60))}`)
    }
    got = next
    if (got < whole) return false
    got = 0
    return true
  }
}

function array(...words) {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
}
