import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bringUpToDate, generate } from '../../scripts/generate-lua.mjs'

let luaDir: string

beforeEach(() => {
  luaDir = mkdtempSync(join(tmpdir(), 'halocksmith-lua-'))
})

afterEach(() => rmSync(luaDir, { recursive: true }))

function write(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    const file = join(luaDir, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}

/** The scripts that the generated module exports, read as a program would read them. */
function generated(): Record<string, string> {
  const names: string[] = []
  const code = generate(luaDir).replace(/export const (\w+): string/g, (_, name: string) => {
    names.push(name)
    return `const ${name}`
  })
  return new Function(`${code}; return { ${names.join(', ')} }`)()
}

const HEADER = '-- Does something.\n-- KEYS[1]  the key\n-- ARGV[1]  the value\n-- Returns  it\n'
const BODY = 'return KEYS[1] .. ARGV[1]\n'
const INCLUDING = (...paths: string[]) => HEADER + paths.map((path) => `--- @include "${path}"\n`).join('') + BODY

describe('what is generated', () => {
  test('is one const per entry script', () => {
    write({ 'one.lua': HEADER + BODY, 'two-words.lua': HEADER + BODY, 'ops/none.lua': 'not an entry' })
    const { one, twoWords, ...others } = generated()
    expect(others).toEqual({})
    expect([one, twoWords]).toEqual([BODY.trimEnd(), BODY.trimEnd()])
  })

  test('has no comment lines, blank lines or indentation, and everything else as it was', () => {
    write({ 'one.lua': `${HEADER}\nif KEYS[1] then\n  -- why\n\tlocal s = '  -- not a comment' -- kept\nend\r\n${BODY}` })
    expect(generated().one).toBe("if KEYS[1] then\nlocal s = '  -- not a comment' -- kept\nend\nreturn KEYS[1] .. ARGV[1]")
  })

  test('keeps backslashes, backticks and ${', () => {
    const line = "local s = 'a\\n`${b}\\''"
    write({ 'one.lua': `${HEADER}${line}\n${BODY}` })
    expect(generated().one?.split('\n')[0]).toBe(line)
  })
})

describe('includes', () => {
  test('are taken in place, nested, each once', () => {
    write({
      'one.lua': INCLUDING('includes/b', 'includes/a'),
      'includes/a.lua': '-- Defines a.\nlocal a = 1\n',
      'includes/b.lua': '-- Defines b.\n--- @include "includes/a"\nlocal b = a\n',
    })
    expect(generated().one).toBe(`local a = 1\nlocal b = a\n${BODY.trimEnd()}`)
  })

  test.each([
    ['a file that is not there', { 'one.lua': INCLUDING('includes/x') }, 'one.lua: includes "includes/x", but there is no'],
    [
      'a circle',
      {
        'one.lua': INCLUDING('includes/a'),
        'includes/a.lua': '-- Defines a.\n--- @include "includes/b"\n',
        'includes/b.lua': '-- Defines b.\n--- @include "includes/a"\n',
      },
      'includes/b.lua: includes "includes/a", by which it is included itself',
    ],
    [
      'a name that two files define',
      {
        'one.lua': INCLUDING('includes/a', 'includes/b'),
        'includes/a.lua': '-- Defines f.\nlocal function f() end\n',
        'includes/b.lua': '-- Defines f.\nlocal g, f = 1, 2\n',
      },
      "includes/b.lua: 'f' is already defined in includes/a.lua",
    ],
    ['an include in another form', { 'one.lua': `${HEADER}-- @include includes/a\n${BODY}` }, 'one.lua:5: an include is a line of its own'],
  ])('refuses %s', (_what, files, message) => {
    write(files as Record<string, string>)
    expect(() => generate(luaDir)).toThrow(message)
  })
})

describe('headers', () => {
  const op = (text: string) => ({ 'one.lua': INCLUDING('ops/do-it'), 'ops/do-it.lua': text })

  test('that say everything are accepted', () => {
    write(op('-- Defines do_it. Fields: id\n-- Reply: { 1 }\nlocal function do_it() end\n'))
    expect(() => generate(luaDir)).not.toThrow()
  })

  test.each([
    ['an entry script without KEYS', { 'one.lua': BODY }, 'one.lua: the header does not say what KEYS is'],
    ['an entry script without Returns', { 'one.lua': HEADER.replace('Returns', 'gives') + BODY }, 'does not say what Returns is'],
    ['a key that is read but not named', { 'one.lua': `${HEADER}local x = KEYS[2]\n${BODY}` }, 'does not name KEYS[2]'],
    ['an argument that is named but not read', { 'one.lua': `${HEADER}return KEYS[1]\n` }, 'names ARGV[1], which the script does not read'],
    [
      'an argument that only an included file reads',
      { 'one.lua': INCLUDING('includes/a'), 'includes/a.lua': '-- Defines a.\nlocal a = ARGV[#KEYS + 1]\n' },
      'does not name ARGV[#KEYS + 1]',
    ],
    ['a comment that is not at the top', { 'one.lua': `local x = 1\n${HEADER}${BODY}` }, 'does not say what KEYS is'],
    ['an include that does not say what it defines', op('local function do_it() end\n'), 'ops/do-it.lua: must begin with a comment'],
    ['an operation under another name', op('-- Defines other. Fields: none\n-- Reply: 1\nlocal function other() end\n'), 'Defines do_it'],
    ['an operation without its fields', op('-- Defines do_it.\n-- Reply: 1\nlocal function do_it() end\n'), 'does not say "Fields:"'],
    ['an operation without its reply', op('-- Defines do_it. Fields: none\nlocal function do_it() end\n'), 'does not say "Reply:"'],
    ['an operation that is not there', op('-- Defines do_it. Fields: none\n-- Reply: 1\n'), 'ops/do-it.lua: does not define do_it'],
  ])('refuses %s', (_what, files, message) => {
    write(files as Record<string, string>)
    expect(() => generate(luaDir)).toThrow(message)
  })
})

describe('text over several lines, which could not be stripped line by line', () => {
  test.each([
    ['a long string', 'local s = [[a\n-- b]]'],
    ['a long string with a level', 'local s = [==[a]==]'],
    ['a long comment', '--[[ a\nb ]]'],
    ['a long comment behind code', 'local x = 1 --[=[ a ]=]'],
    ['a string that goes on', "local s = 'a\\\n-- b'"],
    ['a string that does not end', 'local s = "a'],
  ])('refuses %s', (_what, code) => {
    write({ 'one.lua': `${HEADER}${code}\n${BODY}` })
    expect(() => generate(luaDir)).toThrow(/one\.lua:5: /)
  })

  test.each(["local s = 'a[[b]] --[[' -- [[ not long", "local s = t[u[1]] .. '\\\\'"])('accepts what only looks like it: %s', (code) => {
    write({ 'one.lua': `${HEADER}${code}\n${BODY}` })
    expect(generated().one).toContain(code)
  })
})

describe('the module', () => {
  test('is written when stale, and with check only judged', () => {
    write({ 'one.lua': HEADER + BODY })
    const target = join(luaDir, 'scripts.generated.ts')
    expect(bringUpToDate({ check: true, luaDir, target })).toBe(false)
    expect(bringUpToDate({ luaDir, target })).toBe(false)
    expect(bringUpToDate({ check: true, luaDir, target })).toBe(true)
    const before = readFileSync(target, 'utf8')
    write({ 'one.lua': `${HEADER}local x = 1\n${BODY}` })
    expect(bringUpToDate({ check: true, luaDir, target })).toBe(false)
    expect(readFileSync(target, 'utf8')).toBe(before)
  })

  test('a folder without an entry script is an error', () => {
    expect(() => generate(luaDir)).toThrow('there is no entry script')
  })

  test("the project's own is fresh", () => {
    expect(bringUpToDate({ check: true })).toBe(true)
  })
})
