// server.go: gorilla/websocket as an echo server and as a feed.
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
    "crypto/tls"
    "fmt"
    "io"
    "net/http"
    "os"
    "strings"
    "sync"

    "github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{
    ReadBufferSize: 4096, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
    CheckOrigin: func(*http.Request) bool { return true },
}

var lock sync.RWMutex
var topics = map[string]map[*websocket.Conn]bool{}

func echo(w http.ResponseWriter, r *http.Request) {
    conn, err := upgrader.Upgrade(w, r, nil)
    if err != nil {
        return
    }
    defer conn.Close()
    for {
        kind, message, err := conn.ReadMessage()
        if err != nil || conn.WriteMessage(kind, message) != nil {
            return
        }
    }
}

func publish(w http.ResponseWriter, r *http.Request) {
    body, err := io.ReadAll(r.Body)
    if err != nil {
        return
    }
    message, _ := websocket.NewPreparedMessage(websocket.BinaryMessage, body)
    lock.RLock()
    subscribers := topics[r.URL.Path]
    for conn := range subscribers {
        conn.WritePreparedMessage(message)
    }
    count := len(subscribers)
    lock.RUnlock()
    answer := fmt.Sprintf("{\"receivers\":%d}", count)
    w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
    io.WriteString(w, answer)
}

// Publishing goes through one goroutine: two may not write to a connection at once.
var publishing sync.Mutex

func feed(w http.ResponseWriter, r *http.Request) {
    if r.Method == http.MethodPost {
        publishing.Lock()
        publish(w, r)
        publishing.Unlock()
        return
    }
    conn, err := upgrader.Upgrade(w, r, nil)
    if err != nil {
        return
    }
    lock.Lock()
    if topics[r.URL.Path] == nil {
        topics[r.URL.Path] = map[*websocket.Conn]bool{}
    }
    topics[r.URL.Path][conn] = true
    lock.Unlock()
    for {
        if _, _, err := conn.NextReader(); err != nil {
            break
        }
    }
    lock.Lock()
    delete(topics[r.URL.Path], conn)
    lock.Unlock()
    conn.Close()
}

func main() {
    handler := http.HandlerFunc(feed)
    if os.Args[1] == "echo" {
        handler = echo
    }
    at := "127.0.0.1:" + os.Args[2]
    upgrader.EnableCompression = strings.Contains(os.Args[3], "deflate")
    if strings.Contains(os.Args[3], "tls") {
        /* HTTP/2 has no upgrade: none is offered. */
        server := http.Server{Addr: at, Handler: handler,
            TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
        fmt.Fprintln(os.Stderr, server.ListenAndServeTLS(os.Args[4], os.Args[5]))
    } else {
        fmt.Fprintln(os.Stderr, http.ListenAndServe(at, handler))
    }
    os.Exit(1)
}
