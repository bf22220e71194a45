// Evaluates requests against policies as IAM does: a JSON list on standard input, one on standard
// output. The first argument is the directory that holds node_modules.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'

const require = createRequire(join(process.argv[2], 'index.js'))
const { runSimulation } = require('@cloud-copilot/iam-simulate')

const decisions = []
for (const simulation of JSON.parse(readFileSync(0, 'utf8'))) {
  const result = await runSimulation(
    {
      request: {
        principal: simulation.principal,
        action: simulation.action,
        resource: { resource: simulation.resource, accountId: simulation.account },
        contextVariables: simulation.context,
      },
      identityPolicies: [{ name: 'identity', policy: simulation.policy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: simulation.resourcePolicy ?? undefined,
    },
    {}
  )
  if (result.resultType === 'error') {
    decisions.push({ result: 'Error', error: JSON.stringify(result.errors), sids: [] })
    continue
  }
  const analyses = result.resultType === 'single' ? [result.result] : result.results
  const allowing = analyses.flatMap(
    (analysis) => analysis.analysis.identityAnalysis?.allowStatements ?? []
  )
  decisions.push({
    result: result.overallResult,
    sids: [...new Set(allowing.map((match) => match.statement.sid()))],
    ignored: analyses.flatMap((analysis) => analysis.ignoredContextKeys ?? []),
  })
}
process.stdout.write(JSON.stringify(decisions))
