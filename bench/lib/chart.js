// Draws horizontal bars as SVG, without a browser.
import { init } from 'echarts'

const ours = '#1f6feb'
const others = '#b6bec9'
const ink = '#1f2328'
const width = 760
const barHeight = 34
const margin = { top: 46, left: 110, right: 70, between: 130 }

/** One group of bars beside the other, each with a scale of its own: `[{ title, values: [{ name, value }] }]`. */
export function drawBars(groups) {
  const height = margin.top + barHeight * Math.max(...groups.map(({ values }) => values.length)) + 34
  const room = (width - margin.left - margin.right - margin.between * (groups.length - 1)) / groups.length
  const left = (index) => margin.left + index * (room + margin.between)
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'sans-serif', color: ink },
    title: groups.map(({ title }, index) => ({
      text: title,
      left: left(index),
      top: 12,
      padding: 0,
      textStyle: { fontSize: 15, color: ink },
    })),
    grid: groups.map((_, index) => ({ left: left(index), width: room, top: margin.top, bottom: 34 })),
    xAxis: groups.map(({ axis }, gridIndex) => ({
      gridIndex,
      name: axis ?? 'CPU per response, µs (shorter is better)',
      nameLocation: 'middle',
      nameGap: 10,
      nameTextStyle: { color: ink, fontSize: 11 },
      axisLabel: { show: false },
      splitLine: { show: false },
    })),
    yAxis: groups.map(({ values }, gridIndex) => ({
      gridIndex,
      type: 'category',
      inverse: true,
      data: values.map(({ name }) => name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: ink, fontSize: 13 },
    })),
    series: groups.map(({ values }, index) => ({
      type: 'bar',
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: barHeight * 0.62,
      label: { show: true, position: 'right', color: ink, fontSize: 13, formatter: ({ value }) => value.toFixed(1) },
      data: values.map(({ name, value, ours: mine = name === 'xps' }) => ({
        value,
        itemStyle: { color: mine ? ours : others },
      })),
    })),
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg}\n`
}
