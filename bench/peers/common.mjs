// Shared by the clients in Node: their settings, their reports to the harness, and the handlers of the real sync.
import process from 'node:process'

// From bench/peers.py, as one JSON object.
export const settings = JSON.parse(process.argv[2])

let done = 0
let told = 0

const tell = (message) => process.stdout.write(JSON.stringify(message) + '\n')

// To be called when a job begins, and with how many have ended.
export function begun() {
  if (done === 0 && told === 0) {
    told = -1
    tell({ first: Date.now() })
  }
}

export function handled(jobs = 1) {
  done += jobs
}

// Every 10 ms, and not for each job: the harness must cost little.
setInterval(() => {
  if (done > 0 && done !== told) {
    told = done
    tell({ done })
  }
}, 10)

// For the latency: when the job of that number began.
export function started(number) {
  tell({ job: number, at: performance.timeOrigin + performance.now() })
}

export function ready() {
  tell({ ready: true })
}

// The real sync in its obvious form: read, look up, compare, write. `query` is that of a client of pg, in a transaction
// or not.
const queries = {
  source: 'SELECT code, full_name, territory, credit_limit, disabled FROM source WHERE id = $1',
  target: 'SELECT id, name, region, credit_limit, active FROM target WHERE external_code = $1',
  insert: 'INSERT INTO target (external_code, name, region, credit_limit, active) VALUES ($1, $2, $3, $4, $5)',
  update: 'UPDATE target SET name = $2, region = $3, credit_limit = $4, active = $5 WHERE id = $1',
  // The best form, in one statement: for one source, and for an array of them.
  upsert: `INSERT INTO target AS t (external_code, name, region, credit_limit, active)
    SELECT code, full_name, territory, credit_limit, NOT disabled FROM source WHERE id = $1
    ON CONFLICT (external_code) DO UPDATE SET name = excluded.name, region = excluded.region,
      credit_limit = excluded.credit_limit, active = excluded.active
    WHERE (t.name, t.region, t.credit_limit, t.active)
      IS DISTINCT FROM (excluded.name, excluded.region, excluded.credit_limit, excluded.active)`,
}
queries.upsertMany = queries.upsert.replace('id = $1', 'id = ANY ($1)')

// Named, so that the server prepares each once per connection.
const run = (client, name, values) => client.query({ name, text: queries[name], values })

export async function syncRow(client, id) {
  const source = (await run(client, 'source', [id])).rows[0]
  const target = (await run(client, 'target', [source.code])).rows[0]
  const fields = [source.full_name, source.territory, source.credit_limit, !source.disabled]
  if (target === undefined) {
    await run(client, 'insert', [source.code, ...fields])
  } else if (target.name !== fields[0] || target.region !== fields[1] || target.credit_limit !== fields[2] ||
             target.active !== fields[3]) {
    await run(client, 'update', [target.id, ...fields])
  }
}

export const syncStatement = (client, id) => run(client, 'upsert', [id])
export const syncMany = (client, ids) => run(client, 'upsertMany', [ids])

// For the latency, if the client itself must enqueue: the harness writes the number of a job on a line, and we add it.
export function addWhenAsked(add) {
  let rest = ''
  process.stdin.on('data', async (data) => {
    const lines = (rest + data).split('\n')
    rest = lines.pop()
    for (const id of lines) {
      const before = performance.timeOrigin + performance.now()
      await add(Number(id))
      tell({ job: Number(id), added: before })
    }
  })
}
