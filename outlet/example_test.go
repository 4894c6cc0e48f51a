package outlet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/keytray/keytray/outlet"
)

func Example() {
	folder, err := os.MkdirTemp("", "outlet")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	ctx, list := context.Background(), outlet.List{Dir: filepath.Join(folder, "outlets"), Place: filepath.Join(folder, "locks")}
	o := outlet.Outlet{Root: folder, Agent: "main", Profile: "acme:ada", Format: "plain", Path: filepath.Join(folder, "token")}

	generation := uint64(1)
	fetch := func(context.Context, outlet.Outlet) (outlet.Text, error) { // from the keychain
		return outlet.Text{Generation: generation, Bytes: fmt.Appendf(nil, "at%d", generation)}, nil
	}
	show := func(err error) {
		b, _ := os.ReadFile(o.Path)
		fmt.Printf("%s %v\n", b, err)
	}
	show(list.Add(ctx, o, fetch))
	generation = 2 // somebody renewed the login
	all, err := list.All(folder)
	if err != nil {
		panic(err)
	}
	show(list.Write(ctx, all[0], nil, fetch))
	show(list.Remove(ctx, o))
	// Output:
	// at1 <nil>
	// at2 <nil>
	//  <nil>
}
