package sink

func startTimeOf(pid int) uint64 { return startTime(pid) }
