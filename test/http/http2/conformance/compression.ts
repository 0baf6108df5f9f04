import { encodeFields, indexed, integer, literal, staticTable, string, tableSize } from '../../../support/hpack.ts'
import { settingNumbers } from '../../../support/http2-frames.ts'
import { request } from '../../../support/http2-wire.ts'
import { endOfString, huffmanEncode } from '../../../support/huffman.ts'
import { answered, type ConformanceCase, connectionError } from './case.ts'

const get = encodeFields(request('GET', '/fields'))

function right(section: string, name: string, block: Uint8Array, body?: RegExp): ConformanceCase {
  return {
    section: `7541 ${section}`,
    name,
    send: (wire) => wire.headers(1, block, { endStream: true }),
    expect: answered(1, body),
  }
}

function wrong(section: string, name: string, block: Uint8Array): ConformanceCase {
  return {
    section: `7541 ${section}`,
    name,
    send: (wire) => wire.headers(1, block, { endStream: true }),
    expect: connectionError('COMPRESSION_ERROR'),
  }
}

const after = (...parts: Uint8Array[]): Buffer => Buffer.concat([get, ...parts])
const coded = (bytes: Uint8Array): Buffer => Buffer.concat([integer(bytes.length, 7, 0x80), bytes])
const literalName = Buffer.from([0x00])

/** RFC 7541: the blocks of fields. */
export const compressionCases: readonly ConformanceCase[] = [
  ...(['incremental', 'without', 'never'] as const).flatMap((indexing) =>
    [false, true].flatMap((huffman) => [
      right(
        '6.2',
        `a literal (${indexing}), its name in letters${huffman ? ', Huffman' : ''}`,
        after(literal('some-name', 'some value', indexing, huffman)),
        /some-name: some value\n/,
      ),
      right(
        '6.2',
        `a literal (${indexing}), its name by index${huffman ? ', Huffman' : ''}`,
        after(literal(58, 'some agent', indexing, huffman)),
        /user-agent: some agent\n/,
      ),
    ]),
  ),
  right(
    '2.3.1',
    'entries of the static table',
    Buffer.concat([encodeFields(request('GET', '/fields')), indexed(16)]),
    /accept-encoding: gzip, deflate\n/,
  ),
  {
    section: '7541 2.3.2',
    name: 'entries of the dynamic table, the newest first, over requests',
    send: async (wire) => {
      wire.headers(1, after(literal('first', '1', 'incremental'), literal('second', '2', 'incremental')), {
        endStream: true,
      })
      await wire.response(1)
      wire.headers(3, after(indexed(63), literal(62, 'other')), { endStream: true })
    },
    expect: answered(3, /first: 1\nsecond: other\n/),
  },
  {
    section: '7541 4.4',
    name: 'an entry larger than the table empties it, and is no error',
    send: (wire) => {
      const size = wire.peerSettings.get(settingNumbers.HEADER_TABLE_SIZE) ?? 4_096
      wire.headers(
        1,
        after(
          tableSize(100).subarray(0, 0),
          literal('small', '1', 'incremental'),
          literal('large', 'x'.repeat(size), 'incremental'),
        ),
        { endStream: true },
      )
      wire.headers(3, after(literal('next', '3', 'incremental'), indexed(62)), { endStream: true })
    },
    expect: answered(3, /next: 3\nnext: 3\n|next: 3, 3\n/),
  },
  {
    section: '7541 4.3',
    name: 'a smaller table evicts entries',
    send: (wire) => {
      wire.headers(1, after(literal('first', '1', 'incremental')), { endStream: true })
      wire.headers(3, Buffer.concat([tableSize(0), get, indexed(62)]), { endStream: true })
    },
    expect: connectionError('COMPRESSION_ERROR'),
    reaches: true,
  },
  right('4.2', 'a change of size at the start of a block', Buffer.concat([tableSize(0), get])),
  right('4.2', 'two changes of size at the start of a block', Buffer.concat([tableSize(0), tableSize(100), get])),
  wrong('4.2', 'a change of size at the end of a block', after(tableSize(0))),
  wrong('4.2', 'a change of size in the middle of a block', Buffer.concat([indexed(2), tableSize(0), get.subarray(1)])),
  {
    section: '7541 6.3',
    name: 'a table larger than SETTINGS_HEADER_TABLE_SIZE',
    send: (wire) => {
      const size = wire.peerSettings.get(settingNumbers.HEADER_TABLE_SIZE) ?? 4_096
      wire.headers(1, Buffer.concat([tableSize(size + 1), get]), { endStream: true })
    },
    expect: connectionError('COMPRESSION_ERROR'),
  },
  wrong('6.1', 'index 0', after(Buffer.from([0x80]))),
  wrong('2.3.3', 'an index beyond the tables', after(indexed(staticTable.length + 1))),
  wrong('2.3.3', 'an index far beyond the tables', after(indexed(100_000))),
  wrong('2.3.3', 'the index of a name beyond the tables', after(literal(99, 'value'))),
  wrong(
    '5.1',
    'an integer of too many bytes',
    after(Buffer.from([0xff, ...Array.from({ length: 12 }, () => 0xff), 0x7f])),
  ),
  wrong('5.1', 'an integer that does not end', after(Buffer.from([0xff, 0x80]))),
  wrong('5.2', 'a string longer than its block', after(literalName, integer(100, 7), Buffer.from('short'))),
  wrong('5.2', 'a literal without its value', after(literalName, string('name'))),
  wrong(
    '5.2',
    'a Huffman string with EOS',
    after(literalName, string('name'), coded(huffmanEncode([97, endOfString]))),
  ),
  wrong(
    '5.2',
    'a Huffman string padded with more than seven bits',
    after(
      literalName,
      string('name'),
      coded(Buffer.concat([huffmanEncode(Buffer.from('value')), Buffer.from([0xff])])),
    ),
  ),
  wrong(
    '5.2',
    'a Huffman string padded with zeros',
    after(literalName, string('name'), coded(huffmanEncode(Buffer.from('0'), 0))),
  ),
]
