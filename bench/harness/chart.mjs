// @ts-check
export function drawChart(report) {
  return JSON.stringify(report).slice(0, 10)
}
