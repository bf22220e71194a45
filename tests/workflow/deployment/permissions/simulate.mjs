// Evaluates requests against policies as IAM does: a JSON list on standard input, one on standard
// output. The first argument is the directory that holds node_modules.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'

const require = createRequire(join(process.argv[2], 'index.js'))
const { runSimulation } = require('@cloud-copilot/iam-simulate')

const answers = []
for (const asked of JSON.parse(readFileSync(0, 'utf8'))) {
  const told = await runSimulation(
    {
      request: {
        principal: asked.principal,
        action: asked.action,
        resource: { resource: asked.resource, accountId: asked.account },
        contextVariables: asked.context,
      },
      identityPolicies: [{ name: 'identity', policy: asked.policy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: asked.resourcePolicy ?? undefined,
    },
    {}
  )
  if (told.resultType === 'error') {
    answers.push({ result: 'Error', error: JSON.stringify(told.errors), sids: [] })
    continue
  }
  const analyses = told.resultType === 'single' ? [told.result] : told.results
  const allowing = analyses.flatMap((one) => one.analysis.identityAnalysis?.allowStatements ?? [])
  answers.push({
    result: told.overallResult,
    sids: [...new Set(allowing.map((one) => one.statement.sid()))],
    ignored: analyses.flatMap((one) => one.ignoredContextKeys ?? []),
  })
}
process.stdout.write(JSON.stringify(answers))
