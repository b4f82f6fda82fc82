import { readFileSync } from 'node:fs'

const guide = readFileSync(new URL('../../docs/guides/securing-redis.md', import.meta.url), 'utf8')

/** The words of `ACL SETUSER` in docs/guides/securing-redis.md, behind name and password. */
export const recipe: readonly string[] = /^ACL SETUSER locks on >\S+ ([^`]+)```/m.exec(guide)?.[1]?.trim().split(/\s+/) ?? []

/** A word that gives no right to a command. */
export const isPattern = (word: string): boolean => !word.startsWith('+')

export const RIGHTS = recipe.filter((word) => !isPattern(word))

/** What one use needs besides, by the guide's table. */
export function extrasFor(use: string): string[] {
  const row = guide.split('\n').find((line) => line.startsWith(`| ${use}`))
  if (row === undefined) throw new Error(`the guide says nothing of ${use}`)
  return [...row.matchAll(/(?<=[`\s])[+&][a-z\\|+-]+/g)].map(([right]) => right.replaceAll('\\', ''))
}

/** What the server refused a user, as its log has it: commands, keys and channels. */
export function deniedIn(log: unknown[][], username: string): string[] {
  return log.flatMap((entry) => {
    const fields = Object.fromEntries(entry.flatMap((field, i) => (i % 2 === 0 ? [[field, entry[i + 1]]] : [])))
    // Since 7.2 clients tell the server their library's name; nothing depends on it.
    return fields.username === username && fields.object !== 'client|setinfo' ? [String(fields.object)] : []
  })
}
