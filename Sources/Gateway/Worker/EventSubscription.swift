// What the tracker tells listeners, carried from the worker to whoever subscribed, with a bound: who is too
// slow loses events and can see how many.

#if os(Linux)
  import Conntrack
  import Synchronization

  /// A listener's stream of events. Ends when the worker does or when it is given up.
  public final class EventSubscription: Sendable {
    /// Oldest first. To be read by one task.
    public let events: AsyncStream<ConnectionEvent>
    private let continuation: AsyncStream<ConnectionEvent>.Continuation
    /// Of expectations, likewise.
    public let expectations: AsyncStream<ExpectationEvent>
    private let expectationContinuation: AsyncStream<ExpectationEvent>.Continuation
    private let lostCount = Atomic<UInt64>(0)
    private let ended = Atomic(false)

    /// - Parameter capacity: how many events wait at most.
    init(capacity: Int) {
      (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(capacity))
      (expectations, expectationContinuation) = AsyncStream.makeStream(
        bufferingPolicy: .bufferingOldest(capacity))
    }

    /// How many events there was no room for, so far.
    public var lost: UInt64 { lostCount.load(ordering: .relaxed) }

    /// No events come any more.
    public func cancel() {
      ended.store(true, ordering: .relaxed)
      continuation.finish()
      expectationContinuation.finish()
    }

    var isEnded: Bool { ended.load(ordering: .relaxed) }

    func tell(_ event: ConnectionEvent) { note(continuation.yield(event)) }
    func tell(_ event: ExpectationEvent) { note(expectationContinuation.yield(event)) }

    private func note<Event>(_ result: AsyncStream<Event>.Continuation.YieldResult) {
      switch result {
      case .enqueued: break
      case .dropped: lostCount.add(1, ordering: .relaxed)
      case .terminated: ended.store(true, ordering: .relaxed)
      @unknown default: break
      }
    }
  }
#endif
