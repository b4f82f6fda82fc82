import { describe, expect, test } from 'vitest'
import { drawChart } from '../../bench/harness/chart.mjs'

// The picture that is made of the benchmark's numbers.

const machine = {
  cores: 2,
  cpu: 'Some <CPU> & more',
  system: 'linux',
  load: 0,
  node: '20.0.0',
  server: 'redis-server 7.0.15',
  client: '@redis/client 6.3.1',
  libraries: { redlock: '5.0.0-beta.2' },
}
const report = (workloads: Record<string, object>) => ({ version: '1.2.3', measuredAt: '2030-04-05T06:07:08.000Z', machine, workloads })
const ours = { id: 'halocksmith', title: 'halocksmith', kind: 'ours' }
const theirs = { id: 'redlock', title: 'redlock', kind: 'theirs' }

const barsOf = (svg: string) =>
  [...svg.matchAll(/<rect class="bar (\w+)"[^>]* width="([\d.]+)"/g)].map(([, kind, width]) => [kind, Number(width)])

/** The elements that are open at the end, or where one is closed that is not open. */
function unclosed(xml: string): string[] {
  const open: string[] = []
  const content = xml.replace(/<style>[^<]*<\/style>/, '')
  for (const [, slash, name = '', rest = ''] of content.matchAll(/<(\/?)([\w-]+)((?:\s+[\w-]+(?::[\w-]+)?="[^"<&]*")*\s*\/?)>/g)) {
    if (slash) {
      if (open.pop() !== name) return [`</${name}>`]
    } else if (!rest.endsWith('/')) {
      open.push(name)
    }
  }
  const text = content.replace(/<[^<>]*>/g, '')
  return [...open, ...(text.match(/[<>]|&(?!amp;|lt;|gt;|quot;)/g) ?? [])]
}

test('it is well-formed, and says when, where and with what it was measured', () => {
  const svg = drawChart(report({ 'idle-waiters': { contenders: [{ ...ours, title: 'a < b & "c"', sentPerSecond: 3 }] } }))
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /)
  expect(unclosed(svg)).toEqual([])
  expect(svg).toContain('a &lt; b &amp; &quot;c&quot;')
  for (const part of [
    '2030-04-05',
    '2 cores (Some &lt;CPU&gt; &amp; more)',
    'Node 20.0.0',
    'redis-server 7.0.15',
    'redlock 5.0.0-beta.2',
  ]) {
    expect(svg).toContain(part)
  }
})

describe('bars', () => {
  test('there is one for each number of each panel, the best first, as long as the number is large', () => {
    const contenders = [
      { ...theirs, cyclesPerSecond: 100, longestWaitMs: 1_000 },
      { ...ours, cyclesPerSecond: 400, longestWaitMs: 10 },
    ]
    const [first, second, ...waits] = barsOf(drawChart(report({ 'many-processes': { contenders } })))
    expect([first?.[0], second?.[0]]).toEqual(['ours', 'theirs'])
    expect(Number(first?.[1]) / Number(second?.[1])).toBeCloseTo(4, 1)
    // The longest wait has a log scale: 10 is a third of the way to 1,000.
    expect(waits.map(([kind]) => kind)).toEqual(['ours', 'theirs'])
    expect(Number(waits[1]?.[1]) / Number(waits[0]?.[1])).toBeCloseTo(3, 1)
  })

  test('next to nothing is seen too, also where a log scale begins', () => {
    const contenders = [
      { ...ours, sentPerSecond: 0 },
      { ...theirs, sentPerSecond: 50_000 },
    ]
    const svg = drawChart(report({ 'idle-waiters': { contenders } }))
    expect(svg).toContain('log scale')
    expect(barsOf(svg)[0]).toEqual(['ours', 2])
  })

  test('only the largest crowd is shown, and nothing that is not a number', () => {
    const contenders = [
      { ...ours, claims: 16, cyclesPerSecond: 1 },
      { ...ours, claims: 128, cyclesPerSecond: 2 },
      { ...theirs, claims: 128, cyclesPerSecond: null },
    ]
    expect(barsOf(drawChart(report({ 'one-process': { contenders } })))).toHaveLength(1)
  })

  test('without numbers there is a picture without panels', () => {
    const svg = drawChart(report({}))
    expect(unclosed(svg)).toEqual([])
    expect(barsOf(svg)).toEqual([])
  })
})
