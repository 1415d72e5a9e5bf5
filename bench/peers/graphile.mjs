// A graphile-worker process. settings: connection, migrateOnly, concurrency, tuned (localQueue and batch delay 0), task.
import { Logger, run, runMigrations } from 'graphile-worker'
import pg from 'pg'
import { begun, handled, ready, settings, started, syncRow, syncStatement } from './common.mjs'

const quiet = new Logger(() => () => {})
const pgPool = new pg.Pool({ ...settings.connection, max: settings.concurrency + 5 })

const tasks = {
  noop: async () => {},
  row: (payload, helpers) => helpers.withPgClient((client) => syncRow(client, payload.id)),
  statement: (payload, helpers) => helpers.withPgClient((client) => syncStatement(client, payload.id)),
  latency: async (payload) => started(payload.id),
}

async function job(payload, helpers) {
  begun()
  await tasks[settings.task](payload, helpers)
  handled()
}

if (settings.migrateOnly) {
  await runMigrations({ pgPool, logger: quiet })
  process.exit(0)
}
const runner = await run({
  pgPool,
  logger: quiet,
  noHandleSignals: true,
  taskList: { bench: job },
  preset: {
    worker: {
      concurrentJobs: settings.concurrency,
      ...(settings.tuned ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } : {}),
    },
  },
})
ready()
process.on('SIGTERM', () => process.exit(0))
await runner.promise
