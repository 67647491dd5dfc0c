-- The benchmark's output: medians, ratios, and whether the design's target is met.
local files = require "support.files"

local report = {}

local function median(results, field)
  local values = {}
  for i, result in ipairs(results) do values[i] = field(result) end
  table.sort(values)
  local middle = (#values + 1) / 2
  if #values == 0 then return nil end
  return (values[math.floor(middle)] + values[math.ceil(middle)]) / 2
end

local function rate(result) return result.count / result.seconds end

local function cpu_us(result) return result.cpu / result.count * 1e6 end

local function first_line(command)
  local output, ok = files.run(command)
  return ok and output:match("[^\n]*") or "?"
end

function report.machine()
  local processor = (files.read("/proc/cpuinfo") or ""):match("model name%s*:%s*([^\n]*)") or "?"
  return table.concat({
    ("machine: %s, %s cores, load %s"):format(
      processor, first_line("nproc"), first_line("cut -d' ' -f1 /proc/loadavg")),
    ("versions: kamailio %s, rabbitmq-server %s, nats-server %s, kemibus %s"):format(
      first_line("dpkg-query -W -f='${Version}' kamailio"), first_line("dpkg-query -W -f='${Version}' rabbitmq-server"),
      first_line("dpkg-query -W -f='${Version}' nats-server"), first_line("git describe --always --dirty")),
  }, "\n")
end

function report.progress(work, which, result)
  local notes = ""
  for _, name in ipairs { "refused", "lost" } do
    if (result[name] or 0) > 0 then notes = notes .. (", %d %s"):format(result[name], name) end
  end
  return ("  %-32s %-5s %9.0f/s  %6.2f us CPU  (%d in %.2f s%s)"):format(
    work.title, which, rate(result), cpu_us(result), result.count, result.seconds, notes)
end

local function target_text(target)
  local parts = {}
  if target.rate then parts[#parts + 1] = ("%.3gx"):format(target.rate) end
  if target.cpu then parts[#parts + 1] = ("CPU %.2fx"):format(target.cpu) end
  if target.cpu_us then parts[#parts + 1] = ("%.3g us"):format(target.cpu_us) end
  return table.concat(parts, ", ")
end

local function ratio(a, b) return a and b and a / b end

-- nil when there is nothing to compare with.
local function is_met(row)
  local target = row.target
  if not target or not row.rate_ratio then return nil end
  return (not target.rate or row.rate_ratio >= target.rate) and (not target.cpu or row.cpu_ratio <= target.cpu)
    and (not target.cpu_us or row.ours_cpu <= target.cpu_us)
end

function report.row(work, results)
  local row = {
    title = work.title, target = work.target,
    stock_rate = median(results.stock, rate), ours_rate = median(results.ours, rate),
    stock_cpu = median(results.stock, cpu_us), ours_cpu = median(results.ours, cpu_us),
  }
  row.rate_ratio = ratio(row.ours_rate, row.stock_rate)
  row.cpu_ratio = ratio(row.ours_cpu, row.stock_cpu)
  row.met = is_met(row)
  return row
end

local function cell(format, value) return value and format:format(value) or "-" end

local function verdict(row)
  if row.met == nil then return "" end
  return row.met and "met" or "MISSED"
end

local columns = "%-32s %10s %10s %7s %10s %10s %7s  %-18s %s"

function report.table(rows)
  local lines = {
    "", columns:format("work", "stock/s", "ours/s", "ratio", "stock us", "ours us", "ratio", "target", ""),
  }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = columns:format(row.title, cell("%.0f", row.stock_rate), cell("%.0f", row.ours_rate),
      cell("%.2f", row.rate_ratio), cell("%.2f", row.stock_cpu), cell("%.2f", row.ours_cpu),
      cell("%.2f", row.cpu_ratio),
      row.target and target_text(row.target) or "", verdict(row))
  end
  lines[#lines + 1] = "us: CPU microseconds of all Kamailio processes per message"
  return table.concat(lines, "\n")
end

return report
