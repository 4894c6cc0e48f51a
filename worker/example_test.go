package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
	"github.com/keytray/keytray/worker"
)

// What runs in a worker's process: a request is a line, and so is each event.
func ExampleWorker_Serve() {
	folder, err := os.MkdirTemp("", "worker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	w := worker.Worker{
		Keeper:  &keeper.Keeper{Store: sink.Open(filepath.Join(folder, "root"), filepath.Join(folder, "locks"), &sinktest.Keychain{})},
		Explain: func(err error) worker.Failure { return worker.Failure{Code: "failed", Exit: 1, Message: err.Error()} },
	}
	var out strings.Builder
	err = w.Serve(context.Background(), strings.NewReader(`{"do": "probe"}`+"\n"), &out)
	_, events, _ := strings.Cut(out.String(), "\n") // the first one has the number of the process
	fmt.Println(events, err)
	// Output:
	// {"event":"done"}
	//  <nil>
}
