// What packets a rule can match, as spans of packet keys: a box that holds at least those. A packet
// outside the box would make the rule differ before the rule does anything else, so such a rule need
// not be asked. For the builder of chain indexes.

import Wire

/// Keys from `low` to `high`.
struct KeySpan: Hashable, Sendable {
  var low: UInt32
  var high: UInt32
}

/// A rule's box. No spans: any value.
struct RuleBox: Equatable, Sendable {
  var spans = [[KeySpan]?](repeating: nil, count: PacketKey.count)
  /// Every packet in the box matches.
  var isExact = true
  /// No packet matches.
  var isEmpty = false

  /// Lets only values through that are in `others` too.
  mutating func limit(_ key: Int, to others: [KeySpan]) {
    guard let mine = spans[key] else {
      spans[key] = others
      isEmpty = isEmpty || others.isEmpty
      return
    }
    var both: [KeySpan] = []
    for a in mine {
      for b in others where a.low <= b.high && b.low <= a.high {
        both.append(KeySpan(low: max(a.low, b.low), high: min(a.high, b.high)))
      }
    }
    spans[key] = both.sorted { $0.low < $1.low }
    isEmpty = isEmpty || both.isEmpty
  }
}

extension RulesetCompiler {
  /// The box of rule number `index` for packets of `form`, whole or short.
  ///
  /// A condition narrows the box only where every condition the rule asks before it has no effect
  /// but to hold or not: after a token bucket, or a header that may be too short, it does not.
  func box(
    of index: Int, form: PacketForm, interfaces: borrowing InterfacePatterns
  ) -> RuleBox {
    let rule = rules[index]
    var box = RuleBox()
    limitAddress(
      &box, PacketKey.source, rule.source, rule.sourceMask, rule.flags.contains(.sourceInverted))
    limitAddress(
      &box, PacketKey.destination, rule.destination, rule.destinationMask,
      rule.flags.contains(.destinationInverted))
    if rule.protocolNumber != 0 {
      let number = UInt32(rule.protocolNumber)
      var spans =
        rule.flags.contains(.protocolInverted)
        ? Self.others([KeySpan(low: number, high: number)], upTo: 255)
        : [KeySpan(low: number, high: number)]
      if form == .short && rule.flags.contains(.dropsUnknownProtocol) {
        spans.append(KeySpan(low: PacketKey.unknownProtocol, high: PacketKey.unknownProtocol))
        box.limit(PacketKey.transportProtocol, to: spans)
        // Such a packet is dropped before anything else is looked at.
        box.isExact = false
        return box
      }
      box.limit(PacketKey.transportProtocol, to: spans)
    }
    for (key, pattern, isInverted) in [
      (PacketKey.inInterface, rule.inPattern, rule.flags.contains(.inInverted)),
      (PacketKey.outInterface, rule.outPattern, rule.flags.contains(.outInverted)),
    ] where pattern >= 0 {
      let fitting = interfaces.spans[Int(pattern)]
      let spans = [KeySpan(low: fitting.low, high: fitting.high)]
      box.limit(key, to: isInverted ? Self.others(spans, upTo: .max) : spans)
    }
    // No packet that is looked up is a later fragment.
    if rule.flags.contains(.laterFragment) { box.isEmpty = true }
    limitTests(&box, rule, form)
    return box
  }

  private func limitTests(_ box: inout RuleBox, _ rule: CompiledRule, _ form: PacketForm) {
    /// Where a port is compared, ports are there; a packet without them differs.
    var isThere = false
    /// A packet without ports may be dropped.
    var dropsAbsent = false
    /// A header was read that a port's being there does not yet promise.
    var promised: UInt64 = 0
    var index = Int(rule.firstTest)
    let end = index + Int(rule.testCount)
    /// Tests before this one may be passed over.
    var certainFrom = index
    while index < end {
      let test = tests[index]
      let isCertain = index >= certainFrom
      index += 1
      switch test.kind {
      case .header where isCertain:
        if form == .whole {
          // Whole packets have both ports if any header is read of them.
          isThere = true
        } else if test.b == 2 {
          if test.a >= 4 && !dropsAbsent { isThere = true }
          promised = max(promised, test.a)
        } else if test.a <= 4 {
          // With the ports absent the packet may be dropped here.
          dropsAbsent = true
          isThere = false
          box.isExact = false
        } else {
          box.isExact = false
          return
        }
      case .range where isCertain && test.field.isPort && test.c & 0xFFFF == 0xFFFF:
        let spans = [KeySpan(low: UInt32(clamping: test.a), high: UInt32(clamping: test.b))]
        limitPort(&box, test, spans, isThere, &promised)
      case .ports where isCertain && test.field.isPort:
        let spans = portSpans[Int(test.a)..<Int(test.a + test.b)].map {
          KeySpan(low: UInt32($0.low), high: UInt32($0.high))
        }
        limitPort(&box, test, spans, isThere, &promised)
      case .addressRange where isCertain && !dropsAbsent:
        limitRange(&box, test)
      case .connection:
        box.isExact = false
        certainFrom = max(certainFrom, index + Int(test.a))
      case .limit, .everyNth, .random, .readableOptions, .header:
        // These must be asked whenever the rules are asked in order.
        box.isExact = false
        return
      case .range, .anyBit, .masked, .addressRange, .ports, .eitherPort, .tcpOption, .present,
        .always:
        box.isExact = false
      }
    }
    if promised > 0 { box.isExact = false }
  }

  private func limitPort(
    _ box: inout RuleBox, _ test: RuleTest, _ spans: [KeySpan], _ isThere: Bool,
    _ promised: inout UInt64
  ) {
    var all = Self.joined(spans)
    if test.isInverted { all = Self.others(all, upTo: PacketKey.absentPort - 1) }
    if !isThere {
      all.append(KeySpan(low: PacketKey.absentPort, high: PacketKey.absentPort))
      box.isExact = false
    } else if promised <= 4 {
      promised = 0
    }
    let isSource = test.field == .sourcePort
    box.limit(isSource ? PacketKey.sourcePort : PacketKey.destinationPort, to: all)
  }

  /// `-m iprange`. Of an IPv6 range only the words up to the first in which its ends differ.
  private func limitRange(_ box: inout RuleBox, _ test: RuleTest) {
    let base: Int
    switch test.address {
    case .source: base = PacketKey.source
    case .destination: base = PacketKey.destination
    default:
      box.isExact = false
      return
    }
    let low = Self.words(IPAddress(high: test.a, low: test.b))
    let high = Self.words(IPAddress(high: test.c, low: test.d))
    if family == .ipv4 {
      let spans = low[3] <= high[3] ? [KeySpan(low: low[3], high: high[3])] : []
      box.limit(base + 3, to: test.isInverted ? Self.others(spans, upTo: .max) : spans)
      return
    }
    box.isExact = false
    guard !test.isInverted else { return }
    for word in 0..<4 {
      box.limit(
        base + word,
        to: low[word] <= high[word] ? [KeySpan(low: low[word], high: high[word])] : [])
      if low[word] != high[word] { return }
    }
  }

  /// An address under a mask: of a mask with holes, the bits before the first.
  private func limitAddress(
    _ box: inout RuleBox, _ base: Int, _ address: IPAddress, _ mask: IPAddress, _ isInverted: Bool
  ) {
    let address = Self.words(address)
    let mask = Self.words(mask)
    let first = family == .ipv4 ? 3 : 0
    var asking: [Int] = []
    var holes = false
    for word in first..<4 where mask[word] != 0 {
      asking.append(word)
      holes = holes || mask[word].nonzeroBitCount != (~mask[word]).leadingZeroBitCount
    }
    if isInverted {
      if asking.isEmpty {
        box.isEmpty = true
      } else if asking.count == 1, !holes {
        let word = asking[0]
        let span = KeySpan(low: address[word], high: address[word] | ~mask[word])
        box.limit(base + word, to: Self.others([span], upTo: .max))
      } else {
        box.isExact = false
      }
      return
    }
    if holes { box.isExact = false }
    for word in asking {
      let ones = (~mask[word]).leadingZeroBitCount
      let prefix = ~(ones == 32 ? 0 : UInt32.max >> UInt32(ones))
      if prefix != 0 {
        let low = address[word] & prefix
        box.limit(base + word, to: [KeySpan(low: low, high: low | ~prefix)])
      }
    }
  }

  private static func words(_ address: IPAddress) -> [UInt32] {
    [address.high >> 32, address.high, address.low >> 32, address.low].map {
      UInt32(truncatingIfNeeded: $0)
    }
  }

  /// The same values with spans sorted, none touching another.
  private static func joined(_ spans: [KeySpan]) -> [KeySpan] {
    var result: [KeySpan] = []
    for span in spans.sorted(by: { $0.low < $1.low }) where span.low <= span.high {
      if let last = result.last, UInt64(span.low) <= UInt64(last.high) + 1 {
        result[result.count - 1].high = max(last.high, span.high)
      } else {
        result.append(span)
      }
    }
    return result
  }

  /// All values up to `limit` that are in none of `spans`, which are sorted.
  private static func others(_ spans: [KeySpan], upTo limit: UInt32) -> [KeySpan] {
    var result: [KeySpan] = []
    var next: UInt64 = 0
    for span in spans where span.low <= limit {
      if UInt64(span.low) > next {
        result.append(KeySpan(low: UInt32(next), high: span.low - 1))
      }
      next = UInt64(span.high) + 1
    }
    if next <= UInt64(limit) { result.append(KeySpan(low: UInt32(next), high: limit)) }
    return result
  }
}

extension PacketField {
  fileprivate var isPort: Bool { self == .sourcePort || self == .destinationPort }
}
