// Cuts an address space into ranges that share one route, for `RoutingTable`: longest prefix first,
// then lowest metric, then the order of the tables, with `throw` passing on to the next.

import Wire

/// The ranges of one family: `answers[i]` holds from `starts[i]` up to the next start.
struct RouteRanges {
  private(set) var starts: [IPAddress] = []
  private(set) var answers: [Int32] = []

  /// `numberedFrom` is added to a route's place to give the answer that means it.
  init(routes: [Route], numberedFrom first: Int, family: AddressFamily) {
    let boundaries = RouteRanges.boundaries(of: routes, family)
    // By table: for each boundary, the place of the longest match, or -1.
    let matches = RouteTableName.allCases.map { table in
      RouteRanges.longestMatches(routes, in: table, at: boundaries)
    }
    for (index, start) in boundaries.enumerated() {
      var answer: Int32 = -1
      for match in matches where match[index] >= 0 {
        if routes[Int(match[index])].type == .throwToNextTable { continue }
        answer = match[index] + Int32(first)
        break
      }
      if answers.last == answer { continue }
      starts.append(start)
      answers.append(answer)
    }
  }

  /// Every address at which the answer may change, sorted, 0 first.
  private static func boundaries(of routes: [Route], _ family: AddressFamily) -> [IPAddress] {
    var all: [IPAddress] = [.any]
    for route in routes {
      all.append(route.prefix.address)
      if let after = afterLast(route.prefix) { all.append(after) }
    }
    all.sort()
    var unique: [IPAddress] = []
    for address in all where unique.last != address { unique.append(address) }
    return unique
  }

  private static func longestMatches(
    _ routes: [Route], in table: RouteTableName, at boundaries: [IPAddress]
  ) -> [Int32] {
    // Shorter prefixes first where several start at one address; of the same prefix the best last,
    // so that the top of the stack is always the answer.
    let sorted = routes.indices.filter { routes[$0].table == table }.sorted {
      let (a, b) = (routes[$0], routes[$1])
      if a.prefix.address != b.prefix.address { return a.prefix.address < b.prefix.address }
      if a.prefix.length != b.prefix.length { return a.prefix.length < b.prefix.length }
      if a.metric != b.metric { return a.metric > b.metric }
      return $0 > $1
    }
    var next = 0
    var stack: [Int] = []
    return boundaries.map { boundary in
      while let top = stack.last, !routes[top].prefix.contains(boundary) { stack.removeLast() }
      while next < sorted.count, routes[sorted[next]].prefix.address == boundary {
        stack.append(sorted[next])
        next += 1
      }
      return Int32(stack.last ?? -1)
    }
  }

  /// The address behind the prefix's last, or nil at the end of the space.
  private static func afterLast(_ prefix: IPPrefix) -> IPAddress? {
    let mask = IPAddress.mask(prefix.length, prefix.family)
    switch prefix.family {
    case .ipv4:
      let last = prefix.address.ipv4 | ~mask.ipv4
      return last == .max ? nil : IPAddress(ipv4: last + 1)
    case .ipv6:
      let last = IPAddress(
        high: prefix.address.high | ~mask.high, low: prefix.address.low | ~mask.low)
      let (low, carry) = last.low.addingReportingOverflow(1)
      let (high, end) = last.high.addingReportingOverflow(carry ? 1 : 0)
      return end ? nil : IPAddress(high: high, low: low)
    }
  }
}
