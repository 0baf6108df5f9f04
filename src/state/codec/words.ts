import { type ByteString, cutLoose } from './byte-string.ts'

// The commands that we have added carry any bytes: a word has `%XX` in place of each byte that is a blank, a control
// character or a `%`, and is a lone `%` if it is empty. So a line stays a line, also for a server that does not know it.

/** What goes as it is: all from `!` on but `%` and DEL. */
const notPlain = /[^!-$&-~\x80-\xff]/g

/** Makes one word of any bytes. */
export function encodeWord(bytes: ByteString): ByteString {
  if (bytes === '') return '%'
  notPlain.lastIndex = 0
  return notPlain.test(bytes) ? bytes.replace(notPlain, escapeByte) : bytes
}

/** The bytes of a word; undefined if it is none. */
export function decodeWord(word: ByteString): ByteString | undefined {
  if (!word.includes('%')) return word === '' ? undefined : word
  if (word === '%') return ''
  let valid = true
  const bytes = word.replace(/%(..?)?/gs, (_, digits: string | undefined) => {
    if (digits === undefined || !/^[0-9a-f]{2}$/i.test(digits)) {
      valid = false
      return ''
    }
    return String.fromCharCode(Number.parseInt(digits, 16))
  })
  return valid ? bytes : undefined
}

/** The words of the arguments of a command of ours; undefined if one of them is none. */
export function decodeWords(text: ByteString): ByteString[] | undefined {
  if (text === '') return []
  const words: ByteString[] = []
  for (const word of text.split(' ')) {
    const bytes = decodeWord(word)
    if (bytes === undefined) return undefined
    words.push(cutLoose(bytes, text))
  }
  return words
}

function escapeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`
}
