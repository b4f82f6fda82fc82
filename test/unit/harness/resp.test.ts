import { describe, expect, test } from 'vitest'
import { encodeCommand, type Reply, ReplyError, RespParser } from '../../../scripts/resp.mjs'

/** Every kind of value of versions 2 and 3, beside what it is to become. */
const VALUES: [wire: string, kind: string, value: Reply][] = [
  ['+OK\r\n', '+', 'OK'],
  [':-42\r\n', ':', -42],
  [':1769000000000001\r\n', ':', 1769000000000001],
  ['$-1\r\n', '$', null],
  ['$0\r\n\r\n', '$', ''],
  ['$6\r\na\r\nb\r\n\r\n', '$', 'a\r\nb\r\n'],
  ['$4\r\n\u{1f512}\r\n', '$', '\u{1f512}'],
  ['*-1\r\n', '*', null],
  ['*0\r\n', '*', []],
  ['*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n+y\r\n', '*', [1, ['x', null], 'y']],
  ['_\r\n', '_', null],
  ['#t\r\n', '#', true],
  ['#f\r\n', '#', false],
  [',1.5\r\n', ',', 1.5],
  [',-inf\r\n', ',', Number.NEGATIVE_INFINITY],
  ['(3492890328409238509324850943850943825024385\r\n', '(', '3492890328409238509324850943850943825024385'],
  ['=8\r\ntxt:text\r\n', '=', 'text'],
  ['%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n', '%', ['a', 1, 'b', 2]],
  ['~2\r\n:1\r\n:2\r\n', '~', [1, 2]],
  ['>3\r\n+message\r\n+c\r\n$1\r\nm\r\n', '>', ['message', 'c', 'm']],
  ['|1\r\n+ttl\r\n:3600\r\n:7\r\n', '|', 7],
  ['PING  hello\r\n', 'P', ['PING', 'hello']],
]

function parse(wire: Buffer, chunkSize: number): { kind: string; value: Reply; text: string }[] {
  const parser = new RespParser()
  const frames: { kind: string; value: Reply; text: string }[] = []
  for (let at = 0; at < wire.length; at += chunkSize) {
    parser.push(wire.subarray(at, at + chunkSize), (value, kind, bytes) => frames.push({ kind, value, text: bytes.toString() }))
  }
  return frames
}

describe('the parser', () => {
  test.each(VALUES)('reads %j', (wire, kind, value) => {
    expect(parse(Buffer.from(wire), 1_000)).toEqual([{ kind, value, text: wire }])
  })

  test('makes errors of errors, also inside a list', () => {
    const [simple, blob, list] = parse(Buffer.from('-NOSCRIPT No matching script.\r\n!7\r\nERR all\r\n*1\r\n-WRONGTYPE no\r\n'), 1_000)
    expect(simple?.value).toBeInstanceOf(ReplyError)
    expect(simple?.value).toMatchObject({ code: 'NOSCRIPT', message: 'NOSCRIPT No matching script.' })
    expect(blob?.value).toMatchObject({ code: 'ERR' })
    expect(list?.value[0]).toMatchObject({ code: 'WRONGTYPE' })
  })

  const wire = Buffer.from(
    VALUES.map(([text]) => text)
      .join('')
      .repeat(2),
  )
  test.each([1, 2, 3, 5, 7, 11, 64])('finds the same frames in chunks of %i bytes', (chunkSize) => {
    const frames = parse(wire, chunkSize)
    expect(frames).toEqual(parse(wire, wire.length))
    expect(Buffer.from(frames.map(({ text }) => text).join(''))).toEqual(wire)
  })

  test('does not read a large reply anew for every chunk', () => {
    const large = Buffer.from(`$20000000\r\n${'x'.repeat(20_000_000)}\r\n`)
    const [frame] = parse(large, 65_536)
    expect(frame?.value).toHaveLength(20_000_000)
  })
})

describe('a command', () => {
  test('counts bytes, not characters', () => {
    expect(encodeCommand(['SET', '\u{1f512}', 12])).toBe('*3\r\n$3\r\nSET\r\n$4\r\n\u{1f512}\r\n$2\r\n12\r\n')
  })

  test('carries bytes as they are', () => {
    const bytes = Buffer.from([0, 255, 13, 10])
    expect(encodeCommand(['SET', 'k', bytes])).toEqual(
      Buffer.concat([Buffer.from('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n'), bytes, Buffer.from('\r\n')]),
    )
  })
})
