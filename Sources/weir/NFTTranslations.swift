// Where the rules of nftables' own translate to: the NAT statements in `nft -j list ruleset`
// (libnftables-json(5)). For `weir doctor --kernel`.

import Foundation
import TableControl
import Wire

enum NFTTranslations {
  /// The places that rules translate to, those of the tables that `families` names left out. What a statement
  /// takes from a map, or says in a way that is not understood, is left open.
  /// - Returns: nil where the text is no such listing.
  static func rules(
    in text: String, besides families: [String: Set<String>]
  ) -> [TranslationRule]? {
    guard let listing = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
      let objects = listing["nftables"] as? [[String: Any]]
    else { return nil }
    var all: [TranslationRule] = []
    for object in objects {
      guard let rule = object["rule"] as? [String: Any], let family = rule["family"] as? String,
        families[family]?.contains(rule["table"] as? String ?? "") != true
      else { continue }
      for statement in rule["expr"] as? [[String: Any]] ?? [] {
        for (name, value) in statement { all += translations(name, value, family) }
      }
    }
    return all
  }

  private static func translations(
    _ name: String, _ value: Any, _ table: String
  ) -> [TranslationRule] {
    let isSource: Bool
    switch name {
    case "dnat", "redirect": isSource = false
    case "snat", "masquerade": isSource = true
    case "xt":
      // A target of iptables, of which nft does not say more.
      let target = (value as? [String: Any])?["name"] as? String ?? ""
      guard ["DNAT", "REDIRECT", "SNAT", "MASQUERADE", "NETMAP"].contains(target) else { return [] }
      return families(table).flatMap { family in
        [true, false].map { TranslationRule(family, isSource: $0) }
      }
    default: return []
    }
    let what = value as? [String: Any] ?? [:]
    let address = what["addr"].flatMap(range(ofAddresses:))
    let ports = what["port"].flatMap(range(ofPorts:))
    let named = address.map { [$0.family] } ?? families(what["family"] as? String ?? table)
    return named.map {
      TranslationRule($0, isSource: isSource, addresses: address?.range, ports: ports)
    }
  }

  private static func families(_ name: String) -> [AddressFamily] {
    switch name {
    case "ip": [.ipv4]
    case "ip6": [.ipv6]
    default: [.ipv4, .ipv6]
    }
  }

  private static func range(
    ofAddresses value: Any
  ) -> (range: ClosedRange<IPAddress>, family: AddressFamily)? {
    if let text = value as? String, let (address, family) = IPAddress.parse(text[...]) {
      return (address...address, family)
    }
    guard let parts = value as? [String: Any] else { return nil }
    if let bounds = parts["range"] as? [String], bounds.count == 2,
      let (first, family) = IPAddress.parse(bounds[0][...]),
      let (last, other) = IPAddress.parse(bounds[1][...]), family == other, first <= last
    {
      return (first...last, family)
    }
    guard let prefix = parts["prefix"] as? [String: Any], let text = prefix["addr"] as? String,
      let (address, family) = IPAddress.parse(text[...]), let length = prefix["len"] as? Int,
      (0...family.addressBits).contains(length)
    else { return nil }
    let mask = IPAddress.mask(length, family)
    let first = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    let all = IPAddress.mask(family.addressBits, family)
    let last = IPAddress(
      high: first.high | (all.high & ~mask.high), low: first.low | (all.low & ~mask.low))
    return (first...last, family)
  }

  private static func range(ofPorts value: Any) -> ClosedRange<UInt16>? {
    if let port = (value as? Int).flatMap(UInt16.init(exactly:)) { return port...port }
    guard let bounds = (value as? [String: Any])?["range"] as? [Int], bounds.count == 2,
      let first = UInt16(exactly: bounds[0]), let last = UInt16(exactly: bounds[1]), first <= last
    else { return nil }
    return first...last
  }
}
